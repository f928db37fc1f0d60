import type { PartitionClaim } from "../../wire/partition-claim.ts";
import type { PartitionTick } from "../../wire/tick.ts";
import type { EffectSink } from "./effects.ts";
import type { Now } from "./now.ts";
import { OwnedPartition } from "./owned-partition.ts";
import type { HeldPartitions, Ownership, OwnershipMove } from "./ownership.ts";
import type { TickerSettings } from "./ticker-settings.ts";
import type { TickerStatus } from "./ticker-status.ts";

/** A claim that is being written. */
interface PendingClaim {
  id: number;
  claim: PartitionClaim;
  from: string;
  /** That it is to replace. */
  revision: number;
  /** The read that tells why it was refused. */
  readId?: number;
}

// So much of a DUE that was lost with its disk is made up for; what had waited in
// it for longer is not. Executors ask history about all that goes out again.
const dueLostSeconds = 60;

/**
 * The partitions that this ticker holds. A partition is owned from when its claim
 * is stored, and until a claim says otherwise.
 */
export class PartitionHoldings {
  readonly owned = new Map<number, OwnedPartition>();
  readonly #pending = new Map<number, PendingClaim>();
  readonly #settings: TickerSettings;
  readonly #ownership: Ownership;
  readonly #effects: EffectSink;
  #leaving = false;
  /** Partitions that lay too far ahead, to be told of. */
  #ahead: { partitions: number; aheadSeconds: number; fromSecond: number } | undefined;

  constructor(settings: TickerSettings, ownership: Ownership, effects: EffectSink) {
    this.#settings = settings;
    this.#ownership = ownership;
    this.#effects = effects;
  }

  /** How many claims are being written. */
  get unanswered(): number {
    return this.#pending.size;
  }

  totals(): Pick<TickerStatus, "owned" | "loaded" | "jobs" | "lowestWatermark" | "highestSecond"> {
    let jobs = 0;
    let loaded = 0;
    let lowestWatermark: number | undefined;
    let highestSecond: number | undefined;
    for (const holding of this.owned.values()) {
      jobs += holding.jobs;
      if (holding.loaded) loaded++;
      const second = holding.watermark?.second;
      if (second !== undefined && (lowestWatermark === undefined || second < lowestWatermark)) lowestWatermark = second;
      if (highestSecond === undefined || holding.horizon > highestSecond) highestSecond = holding.horizon;
    }
    return { owned: this.owned.size, loaded, jobs, lowestWatermark, highestSecond };
  }

  held(): HeldPartitions {
    const releasing = new Set<number>();
    for (const holding of this.owned.values()) if (holding.releasing) releasing.add(holding.partition);
    const pending = new Set([...this.#pending.keys()].filter((partition) => !this.owned.has(partition)));
    return { owned: [...this.owned.keys()], releasing, pending };
  }

  make(move: OwnershipMove): void {
    switch (move.kind) {
      case "ask":
        this.#effects.emit({ kind: "read-last-tick", ticker: move.ticker });
        break;
      case "give-back":
        this.release(move.partition);
        break;
      case "take": {
        const { partition, epoch, watermark, from, revision } = move;
        this.#write(partition, { owner: this.#settings.ticker, epoch, watermark }, from, revision);
        break;
      }
      default:
        move satisfies never;
    }
  }

  /** Whether each partition is published up to a second. */
  complete(second: number): boolean {
    for (const { watermark } of this.owned.values()) if (!watermark || watermark.second < second) return false;
    return true;
  }

  ticks(): PartitionTick[] {
    return Array.from(this.owned.values(), ({ partition, epoch, watermark, published }) => ({
      partition,
      epoch,
      watermark,
      published,
    }));
  }

  /** Claims again what is held without a claim in the stream: the claims were lost. */
  reclaim(): void {
    const { ticker } = this.#settings;
    for (const { partition, epoch, watermark, releasing } of this.owned.values()) {
      if (releasing || this.#pending.has(partition)) continue;
      const { claim, revision } = this.#ownership.claimOf(partition);
      if (!claim) this.#write(partition, { owner: ticker, epoch, watermark }, ticker, revision);
    }
  }

  /** Begins no further second in a partition. It is given back once all that was begun is acknowledged. */
  release(partition: number): void {
    const holding = this.owned.get(partition);
    if (holding) holding.releasing = true;
  }

  releaseAll(): void {
    this.#leaving = true;
    for (const partition of this.owned.keys()) this.release(partition);
  }

  /** Gives back what is released: when it is finished, or as it stands when `unfinished`. */
  giveBack(unfinished: boolean): void {
    for (const holding of this.owned.values()) {
      if (!holding.releasing || this.#pending.has(holding.partition) || !(holding.idle || unfinished)) continue;
      const { partition, epoch, watermark } = holding;
      this.#write(partition, { owner: "", epoch, watermark }, "", this.#ownership.claimOf(partition).revision);
    }
  }

  /** Begins again from now where the horizon lies too far ahead: the wall clock was set back. */
  rewindAhead(now: Now, target: number): void {
    const fromSecond = Math.floor(now.wallMs / 1000) - 1;
    for (const holding of this.owned.values()) {
      const aheadSeconds = holding.horizon - target;
      if (holding.rewindWhenAhead(fromSecond, target)) this.#noteAhead(aheadSeconds, fromSecond);
    }
    this.#tellAhead();
  }

  /** Publishes again what a lost DUE may have held. */
  rewindLost(now: Now): void {
    const nowSecond = Math.floor(now.wallMs / 1000);
    const fromSecond = nowSecond - dueLostSeconds;
    // Who was catching up had published further back.
    for (const holding of this.owned.values()) holding.rewind(Math.min(holding.horizon, nowSecond) - dueLostSeconds);
    const notice = { event: "due_stream_replaced", partitions: this.owned.size, fromSecond } as const;
    this.#effects.emit({ kind: "notice", notice });
  }

  claimSeen(now: Now, partition: number, claim: PartitionClaim | undefined, revision: number): void {
    if (this.#ownership.learnClaim(partition, { claim, revision }, false)) this.#reconcile(now, partition);
  }

  claimWritten(now: Now, id: number, partition: number, revision: number | undefined): void {
    const pending = this.#pending.get(partition);
    if (pending?.id !== id) return;
    if (revision === undefined) {
      // Another ticker was faster, or the claim was stored and the answer lost: look again, and decide anew.
      pending.readId = this.#effects.newId();
      this.#effects.emit({ kind: "read-claims", id: pending.readId, partitions: [partition] });
      return;
    }
    this.#ownership.learnClaim(partition, { claim: pending.claim, revision }, true);
    this.#reconcile(now, partition);
  }

  claimRead(now: Now, id: number, partition: number, claim: PartitionClaim | undefined, revision: number): void {
    // An answer that is older than the known claim was overtaken on its way. Not so where the claim was refused at the
    // revision that is known: then there is no such revision, as after the streams were made anew.
    const pending = this.#pending.get(partition);
    const known = this.#ownership.claimOf(partition).revision;
    const refused = pending?.readId === id && pending.revision === known;
    if (revision === 0 || revision >= known || refused) {
      this.#ownership.learnClaim(partition, { claim, revision }, true);
      this.#reconcile(now, partition);
    }
    if (this.#pending.get(partition)?.readId === id) this.#pending.delete(partition);
    this.#follow();
  }

  #write(partition: number, claim: PartitionClaim, from: string, revision: number): void {
    const id = this.#effects.newId();
    this.#pending.set(partition, { id, claim, from, revision });
    this.#effects.emit({ kind: "write-claim", id, partition, claim, revision });
  }

  #reconcile(now: Now, partition: number): void {
    const { claim } = this.#ownership.claimOf(partition);
    const holding = this.owned.get(partition);
    const mine = claim?.owner === this.#settings.ticker;
    const pending = this.#pending.get(partition);
    const written = pending && claim && pending.claim.epoch === claim.epoch && pending.claim.owner === claim.owner;
    // No claim at all says nothing against owning it: its partition is claimed again.
    if (holding && claim && !(mine && claim.epoch === holding.epoch))
      this.#end(holding, claim, written === true && !mine);
    if (written) {
      this.#pending.delete(partition);
      if (mine && !this.owned.has(partition)) this.#begin(now, partition, claim, pending.from);
    }
    this.#follow();
  }

  #begin(now: Now, partition: number, claim: PartitionClaim, from: string): void {
    const { epoch, watermark } = claim;
    const nowSecond = Math.floor(now.wallMs / 1000);
    const holding = new OwnedPartition(partition, claim, nowSecond, this.#settings);
    holding.releasing = this.#leaving;
    this.owned.set(partition, holding);
    if (watermark && holding.horizon < watermark.second) this.#noteAhead(watermark.second - nowSecond, holding.horizon);
    this.#effects.emit({ kind: "notice", notice: { event: "partition_taken", partition, epoch, from, watermark } });
  }

  #noteAhead(aheadSeconds: number, fromSecond: number): void {
    const partitions = (this.#ahead?.partitions ?? 0) + 1;
    this.#ahead = { partitions, aheadSeconds: Math.max(aheadSeconds, this.#ahead?.aheadSeconds ?? 0), fromSecond };
  }

  /** One notice for all partitions that it befell together. */
  #tellAhead(): void {
    if (this.#ahead) this.#effects.emit({ kind: "notice", notice: { event: "timetable_was_ahead", ...this.#ahead } });
    this.#ahead = undefined;
  }

  #end(holding: OwnedPartition, claim: PartitionClaim, givenBack: boolean): void {
    const { partition, epoch, followId } = holding;
    const { watermark } = claim;
    this.owned.delete(partition);
    if (followId !== undefined) this.#effects.emit({ kind: "unfollow", followId, partition });
    if (givenBack) {
      this.#effects.emit({ kind: "notice", notice: { event: "partition_given_back", partition, epoch, watermark } });
      return;
    }
    const newer = { owner: claim.owner, newEpoch: claim.epoch };
    this.#effects.emit({ kind: "notice", notice: { event: "partition_lost", partition, epoch, ...newer } });
  }

  /** Follows JOBS with one reader for all partitions that came together, once no claim is being written any more. */
  #follow(): void {
    for (const partition of this.#pending.keys()) if (!this.owned.has(partition)) return;
    this.#tellAhead();
    const fresh = [...this.owned.values()].filter((holding) => holding.followId === undefined);
    if (fresh.length === 0) return;
    const followId = this.#effects.newId();
    for (const holding of fresh) holding.followId = followId;
    this.#effects.emit({ kind: "follow", followId, partitions: fresh.map((holding) => holding.partition) });
  }
}
