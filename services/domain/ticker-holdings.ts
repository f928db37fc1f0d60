import type { Effects } from "./ticker-effects.ts";
import type { Claim, Now, TickerSettings, Watermark } from "./ticker-model.ts";
import type { Decision, Holdings, Ownership } from "./ticker-ownership.ts";
import { PartitionRun } from "./ticker-partition.ts";

/** A claim that is being written. */
interface PendingClaim {
  id: number;
  claim: Claim;
  from: string;
  /** It was refused; this read tells why. */
  readId?: number;
}

/**
 * The partitions that this ticker holds, kept in line with the claims: a run
 * begins when its claim is stored, and ends as soon as the claim says otherwise.
 */
export class PartitionHoldings {
  readonly runs = new Map<number, PartitionRun>();
  private readonly pending = new Map<number, PendingClaim>();
  private readonly settings: TickerSettings;
  private readonly ownership: Ownership;
  private readonly effects: Effects;
  private leaving = false;

  constructor(settings: TickerSettings, ownership: Ownership, effects: Effects) {
    this.settings = settings;
    this.ownership = ownership;
    this.effects = effects;
  }

  /** Claims whose writing is not answered yet. */
  get unanswered(): number {
    return this.pending.size;
  }

  summary(): Holdings {
    const releasing = new Set<number>();
    for (const run of this.runs.values()) if (run.releasing) releasing.add(run.partition);
    const pending = new Set([...this.pending.keys()].filter((partition) => !this.runs.has(partition)));
    return { owned: [...this.runs.keys()], releasing, pending };
  }

  take(decision: Extract<Decision, { kind: "take" }>): void {
    const { partition, epoch, watermark, from, revision } = decision;
    this.write(partition, { owner: this.settings.ticker, epoch, watermark }, from, revision);
  }

  /** Begins no further second in a partition; it goes back once all that was begun is acknowledged. */
  release(partition: number): void {
    const run = this.runs.get(partition);
    if (run) run.releasing = true;
  }

  releaseAll(): void {
    this.leaving = true;
    for (const partition of this.runs.keys()) this.release(partition);
  }

  /** Gives back what is released and finished, or, when `unfinished`, as it stands. */
  giveBack(unfinished: boolean): void {
    for (const run of this.runs.values()) {
      if (!run.releasing || this.pending.has(run.partition) || !(run.idle || unfinished)) continue;
      const { partition, epoch, watermark } = run;
      this.write(partition, { owner: "", epoch, watermark }, "", this.ownership.claimOf(partition).revision);
    }
  }

  claimSeen(now: Now, partition: number, claim: Claim | undefined, revision: number): void {
    if (this.ownership.learnClaim(partition, { claim, revision }, false)) this.reconcile(now, partition);
  }

  claimWritten(now: Now, id: number, partition: number, revision: number | undefined): void {
    const pending = this.pending.get(partition);
    if (pending?.id !== id) return;
    if (revision === undefined) {
      // Somebody was faster, or it was stored and the answer lost: look again, decide anew.
      pending.readId = this.effects.newId();
      this.effects.emit({ kind: "read-claims", id: pending.readId, partitions: [partition] });
      return;
    }
    this.ownership.learnClaim(partition, { claim: pending.claim, revision }, true);
    this.reconcile(now, partition);
  }

  claimRead(now: Now, id: number, partition: number, claim: Claim | undefined, revision: number): void {
    // Older than what is known is a read that was overtaken.
    if (revision === 0 || revision >= this.ownership.claimOf(partition).revision) {
      this.ownership.learnClaim(partition, { claim, revision }, true);
      this.reconcile(now, partition);
    }
    if (this.pending.get(partition)?.readId === id) this.pending.delete(partition);
    this.follow();
  }

  private write(partition: number, claim: Claim, from: string, revision: number): void {
    const id = this.effects.newId();
    this.pending.set(partition, { id, claim, from });
    this.effects.emit({ kind: "write-claim", id, partition, claim, revision });
  }

  private reconcile(now: Now, partition: number): void {
    const { claim } = this.ownership.claimOf(partition);
    const run = this.runs.get(partition);
    const mine = claim?.owner === this.settings.ticker;
    const pending = this.pending.get(partition);
    const written = pending && claim && pending.claim.epoch === claim.epoch && pending.claim.owner === claim.owner;
    if (run && !(mine && claim.epoch === run.epoch)) this.end(run, claim, written === true && !mine);
    if (written) {
      this.pending.delete(partition);
      if (mine && !this.runs.has(partition)) this.begin(now, partition, claim, pending.from);
    }
    this.follow();
  }

  private begin(now: Now, partition: number, claim: Claim, from: string): void {
    const { epoch, watermark } = claim;
    const run = new PartitionRun({
      partition,
      epoch,
      watermark,
      nowSecond: Math.floor(now.wallMs / 1000),
      leadSeconds: Math.ceil(this.settings.leadMs / 1000),
      lookbackSeconds: this.settings.lookbackSeconds,
      limits: this.settings.limits,
    });
    run.releasing = this.leaving;
    this.runs.set(partition, run);
    this.effects.emit({ kind: "notice", notice: { event: "partition_taken", partition, epoch, from, watermark } });
  }

  private end(run: PartitionRun, claim: Claim | undefined, givenBack: boolean): void {
    const { partition, epoch, followId } = run;
    const watermark: Watermark | undefined = claim?.watermark;
    this.runs.delete(partition);
    if (followId !== undefined) this.effects.emit({ kind: "unfollow", followId, partition });
    if (givenBack) {
      this.effects.emit({ kind: "notice", notice: { event: "partition_given_back", partition, epoch, watermark } });
      return;
    }
    const newer = { owner: claim?.owner ?? "", newEpoch: claim?.epoch ?? 0 };
    this.effects.emit({ kind: "notice", notice: { event: "partition_lost", partition, epoch, ...newer } });
  }

  /** One follower for all partitions that came together: not before the last claim that is being written is answered. */
  private follow(): void {
    for (const partition of this.pending.keys()) if (!this.runs.has(partition)) return;
    const fresh = [...this.runs.values()].filter((run) => run.followId === undefined);
    if (fresh.length === 0) return;
    const followId = this.effects.newId();
    for (const run of fresh) run.followId = followId;
    this.effects.emit({ kind: "follow", followId, partitions: fresh.map((run) => run.partition) });
  }
}
