import { Heartbeat } from "./ticker-heartbeat.ts";
import type {
  Claim,
  JobChange,
  Now,
  PartitionTick,
  Tick,
  TickerEffect,
  TickerSettings,
} from "./ticker-model.ts";
import { type Holdings, Ownership } from "./ticker-ownership.ts";
import { PartitionRun } from "./ticker-partition.ts";
import { DueOutbox } from "./ticker-outbox.ts";

/** A claim that is being written. */
interface PendingClaim {
  id: number;
  claim: Claim;
  from: string;
  /** It was refused; this read tells why. */
  readId?: number;
}

export interface TickerStatus {
  /** Partitions. */
  owned: number;
  /** Those of them whose jobs are all in the timetable. */
  loaded: number;
  jobs: number;
  lowestWatermark: number | undefined;
  /** Due messages without an acknowledgement. */
  outstanding: number;
  fenced: boolean;
  /** Knows the claims and the other tickers, and has loaded what it owns. */
  settled: boolean;
  /** After `stop`: everything is given back. */
  stopped: boolean;
}

/**
 * The ticker without its wires: takes what happened, and says what to do. Each
 * method is one input; `takeEffects` hands over what follows from it.
 *
 * It promises that no occurrence of an owned partition is lost, whatever fails
 * around it: a watermark passes a second only after all of it is acknowledged,
 * and every owner starts at a watermark that its predecessor made known.
 */
export class TickerCore {
  private readonly settings: TickerSettings;
  private readonly ownership: Ownership;
  private readonly heartbeat: Heartbeat;
  private readonly outbox: DueOutbox;
  private readonly runs = new Map<number, PartitionRun>();
  private readonly pending = new Map<number, PendingClaim>();
  private effects: TickerEffect[] = [];
  private nextId = 1;
  private connected = false;
  private claimsLoaded = false;
  private ticksLoaded = false;
  private stopping = false;
  /** The read of the own claims that lifts the fence when it finds them unchanged. */
  private fenceReadId: number | undefined;

  constructor(settings: TickerSettings) {
    this.settings = settings;
    this.ownership = new Ownership(settings);
    this.heartbeat = new Heartbeat(settings.fenceAfterMs);
    this.outbox = new DueOutbox(settings);
  }

  takeEffects(): TickerEffect[] {
    const { effects } = this;
    this.effects = [];
    return effects;
  }

  status(): TickerStatus {
    let jobs = 0;
    let loaded = 0;
    let lowest: number | undefined;
    for (const run of this.runs.values()) {
      jobs += run.jobs;
      if (run.loaded) loaded++;
      const second = run.watermark?.second;
      if (second !== undefined && (lowest === undefined || second < lowest)) lowest = second;
    }
    return {
      owned: this.runs.size,
      loaded,
      jobs,
      lowestWatermark: lowest,
      outstanding: this.outbox.outstanding,
      fenced: this.heartbeat.fenced,
      settled: this.claimsLoaded && this.ticksLoaded && this.pending.size === 0 && loaded === this.runs.size,
      stopped: this.stopping && this.runs.size === 0 && this.pending.size === 0,
    };
  }

  clock(now: Now): void {
    this.outbox.retryRefused(now, this.effects);
    this.step(now);
  }

  connectionUp(now: Now): void {
    this.connected = true;
    this.ownership.watch(now);
    this.step(now);
  }

  connectionLost(): void {
    this.connected = false;
    this.ownership.unwatch();
  }

  /** A claim from the claims stream, in stream order. */
  claimSeen(now: Now, partition: number, claim: Claim | undefined, revision: number): void {
    if (this.ownership.learnClaim(partition, { claim, revision }, false)) this.reconcile(now, partition);
    if (this.claimsLoaded) this.step(now);
  }

  /** All claims that stood at the start were handed in. */
  claimsComplete(now: Now): void {
    this.claimsLoaded = true;
    this.step(now);
  }

  /** A tick from the ticks stream, in stream order, the own ones included. */
  tickSeen(now: Now, tick: Tick, sequence: number): void {
    this.ownership.learnTick(now, tick, sequence, !this.ticksLoaded);
    if (this.ticksLoaded) this.step(now);
  }

  /** The last tick of each ticker was handed in. */
  ticksComplete(now: Now): void {
    this.ticksLoaded = true;
    this.step(now);
  }

  lastTickRead(now: Now, ticker: string, last: { tick: Tick; sequence: number } | undefined): void {
    this.ownership.verify(now, ticker, last);
    this.step(now);
  }

  /** The answer to `write-claim`: the revision under which it was stored; undefined when it was refused. */
  claimWritten(now: Now, id: number, partition: number, revision: number | undefined): void {
    const pending = this.pending.get(partition);
    if (pending?.id !== id) return;
    if (revision === undefined) {
      // Somebody was faster, or it was stored and the answer lost: look again, decide anew.
      pending.readId = this.nextId++;
      this.emit({ kind: "read-claims", id: pending.readId, partitions: [partition] });
      return;
    }
    this.ownership.learnClaim(partition, { claim: pending.claim, revision }, true);
    this.reconcile(now, partition);
    this.step(now);
  }

  /** The answer to `read-claims`. */
  claimsRead(
    now: Now,
    id: number,
    claims: readonly { partition: number; claim: Claim | undefined; revision: number }[],
  ): void {
    for (const { partition, claim, revision } of claims) {
      // Older than what is known is a read that was overtaken.
      if (revision === 0 || revision >= this.ownership.claimOf(partition).revision) {
        this.ownership.learnClaim(partition, { claim, revision }, true);
        this.reconcile(now, partition);
      }
      if (this.pending.get(partition)?.readId === id) this.pending.delete(partition);
    }
    this.follow();
    if (id === this.fenceReadId) {
      this.fenceReadId = undefined;
      this.heartbeat.lift(now);
      if (!this.heartbeat.fenced) this.emit({ kind: "notice", notice: { event: "publishing_resumed" } });
    }
    this.step(now);
  }

  jobChanged(now: Now, followId: number, partition: number, sequence: number, change: JobChange): void {
    const run = this.runs.get(partition);
    if (run?.followId !== followId) return;
    const dropped = run.change(change, sequence);
    if (dropped) {
      const { droppedFromMs: fromMs, untilMs } = dropped;
      const notice = { event: "late_occurrences_dropped", partition, jobId: change.jobId, fromMs, untilMs } as const;
      this.emit({ kind: "notice", notice });
    }
    if (run.nextSecond(Number.NEGATIVE_INFINITY) !== undefined) this.publish(now);
  }

  /** The follower handed in all that JOBS holds for its partitions; the first time it says so they are loaded. */
  jobsComplete(now: Now, followId: number): void {
    let first = false;
    for (const run of this.runs.values()) {
      if (run.followId !== followId) continue;
      first ||= !run.loaded;
      run.reachedEnd();
    }
    if (first) this.step(now);
  }

  /** The answer to `publish-due`. */
  duePublished(now: Now, id: number, stored: boolean): void {
    const refused = this.outbox.answered(now, id, stored);
    if (refused) this.emit({ kind: "notice", notice: { event: "due_publish_refused", ...refused } });
    this.finish(now);
  }

  /** The answer to `publish-tick`. */
  tickPublished(now: Now, id: number, stored: boolean): void {
    this.heartbeat.answered(id, stored);
    if (this.heartbeat.fenced && this.heartbeat.trusted(now) && this.fenceReadId === undefined) {
      this.fenceReadId = this.nextId++;
      this.emit({ kind: "read-claims", id: this.fenceReadId, partitions: [...this.runs.keys()] });
    }
    this.step(now);
  }

  /** Begins no further second, and gives each partition back as soon as all that was begun is acknowledged. */
  stop(now: Now): void {
    if (this.stopping) return;
    this.stopping = true;
    for (const run of this.runs.values()) run.releasing = true;
    // Says that it is going, for the others to count their shares without it.
    if (this.mayTick()) this.sendTick(now);
    this.step(now);
  }

  /** Gives everything back as it stands: the watermarks are true at any moment. */
  giveUp(now: Now): void {
    this.stop(now);
    for (const run of this.runs.values()) if (!this.pending.has(run.partition)) this.giveBack(run);
  }

  private step(now: Now): void {
    if (!this.heartbeat.fenced && !this.heartbeat.trusted(now)) {
      this.heartbeat.fence();
      this.fenceReadId = undefined;
      this.emit({ kind: "notice", notice: { event: "publishing_stopped" } });
    }
    if (this.connected && this.claimsLoaded && this.ticksLoaded && !this.stopping && !this.heartbeat.fenced) this.own(now);
    this.finish(now);
  }

  /** Publishes what may go out, gives back what is finished, and ticks. */
  private finish(now: Now): void {
    this.publish(now);
    for (const run of this.runs.values()) {
      if (run.releasing && run.idle && !this.pending.has(run.partition)) this.giveBack(run);
    }
    this.tick(now);
  }

  private own(now: Now): void {
    for (const decision of this.ownership.decide(now, this.holdings())) {
      if (decision.kind === "ask") this.emit({ kind: "read-last-tick", ticker: decision.ticker });
      else if (decision.kind === "give-back") {
        const run = this.runs.get(decision.partition);
        if (run) run.releasing = true;
      } else {
        const { partition, epoch, watermark, from, revision } = decision;
        this.writeClaim(partition, { owner: this.settings.ticker, epoch, watermark }, from, revision);
      }
    }
  }

  private holdings(): Holdings {
    const releasing = new Set<number>();
    for (const run of this.runs.values()) if (run.releasing) releasing.add(run.partition);
    const pending = new Set([...this.pending.keys()].filter((partition) => !this.runs.has(partition)));
    return { owned: [...this.runs.keys()], releasing, pending };
  }

  private giveBack(run: PartitionRun): void {
    const { revision } = this.ownership.claimOf(run.partition);
    this.writeClaim(run.partition, { owner: "", epoch: run.epoch, watermark: run.watermark }, "", revision);
  }

  private writeClaim(partition: number, claim: Claim, from: string, revision: number): void {
    const id = this.nextId++;
    this.pending.set(partition, { id, claim, from });
    this.emit({ kind: "write-claim", id, partition, claim, revision });
  }

  /** Brings the run of a partition in line with its claim: begins it, ends it, or leaves it alone. */
  private reconcile(now: Now, partition: number): void {
    const { claim } = this.ownership.claimOf(partition);
    const run = this.runs.get(partition);
    const mine = claim?.owner === this.settings.ticker;
    const pending = this.pending.get(partition);
    const written = pending && claim && pending.claim.epoch === claim.epoch && pending.claim.owner === claim.owner;
    if (run && !(mine && claim.epoch === run.epoch)) {
      this.endRun(run);
      const { epoch } = run;
      if (written && !mine) {
        const notice = { event: "partition_given_back", partition, epoch, watermark: claim.watermark } as const;
        this.emit({ kind: "notice", notice });
      } else {
        const lost = { partition, epoch, owner: claim?.owner ?? "", newEpoch: claim?.epoch ?? 0 };
        this.emit({ kind: "notice", notice: { event: "partition_lost", ...lost } });
      }
    }
    if (written) {
      this.pending.delete(partition);
      if (mine && !this.runs.has(partition)) this.beginRun(now, partition, claim, pending.from);
    }
    this.follow();
  }

  private beginRun(now: Now, partition: number, claim: Claim, from: string): void {
    const run = new PartitionRun({
      partition,
      epoch: claim.epoch,
      watermark: claim.watermark,
      nowSecond: Math.floor(now.wallMs / 1000),
      leadSeconds: Math.ceil(this.settings.leadMs / 1000),
      lookbackSeconds: this.settings.lookbackSeconds,
      limits: this.settings.limits,
    });
    run.releasing = this.stopping;
    this.runs.set(partition, run);
    const notice = { event: "partition_taken", partition, epoch: claim.epoch, from, watermark: claim.watermark } as const;
    this.emit({ kind: "notice", notice });
  }

  private endRun(run: PartitionRun): void {
    this.runs.delete(run.partition);
    if (run.followId !== undefined) this.emit({ kind: "unfollow", followId: run.followId, partition: run.partition });
  }

  /** One follower for all partitions that came together: not before the last pending claim is answered. */
  private follow(): void {
    for (const [partition] of this.pending) if (!this.runs.has(partition)) return;
    const fresh = [...this.runs.values()].filter((run) => run.followId === undefined);
    if (fresh.length === 0) return;
    const followId = this.nextId++;
    for (const run of fresh) run.followId = followId;
    this.emit({ kind: "follow", followId, partitions: fresh.map((run) => run.partition) });
  }

  private publish(now: Now): void {
    if (!this.connected || this.heartbeat.fenced) return;
    const target = this.target(now);
    while (this.outbox.hasRoom()) {
      // The oldest second first, over all partitions.
      let next: PartitionRun | undefined;
      let nextSecond = Number.POSITIVE_INFINITY;
      for (const run of this.runs.values()) {
        const second = run.nextSecond(target);
        if (second === undefined || second >= nextSecond) continue;
        next = run;
        nextSecond = second;
      }
      if (!next) break;
      const issued = next.issue();
      if (issued) this.emit(this.outbox.add(this.nextId++, next, issued));
    }
    for (const run of this.runs.values()) run.skipTo(target);
  }

  /** The last second whose events may go out by now. */
  private target(now: Now): number {
    return Math.floor((now.wallMs + this.settings.leadMs) / 1000);
  }

  private tick(now: Now): void {
    if (!this.mayTick()) return;
    const target = this.target(now);
    let complete = true;
    for (const run of this.runs.values()) if ((run.watermark?.second ?? Number.NEGATIVE_INFINITY) < target) complete = false;
    if (this.heartbeat.due(now, target, complete)) this.sendTick(now);
  }

  /**
   * A first tick that did not name the partitions of an earlier life would hide
   * the watermarks that the last one of that life holds.
   */
  private mayTick(): boolean {
    if (this.heartbeat.begun) return true;
    if (!this.claimsLoaded || !this.ticksLoaded) return false;
    return this.ownership.leftBehind([...this.runs.keys()]).length === 0;
  }

  private sendTick(now: Now): void {
    const second = this.target(now);
    const partitions: PartitionTick[] = [];
    for (const { partition, epoch, watermark, published } of this.runs.values()) {
      partitions.push({ partition, epoch, watermark, published });
    }
    const tick: Tick = { ticker: this.settings.ticker, second, live: !this.stopping, partitions };
    const id = this.nextId++;
    this.heartbeat.sent(now, id, second);
    this.emit({ kind: "publish-tick", id, tick });
  }

  private emit(effect: TickerEffect): void {
    this.effects.push(effect);
  }
}

