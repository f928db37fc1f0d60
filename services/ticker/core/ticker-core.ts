import { DueOutbox } from "./due-outbox.ts";
import { Effects } from "./effects.ts";
import { Heartbeat } from "./heartbeat.ts";
import { JobsIntake } from "./jobs-intake.ts";
import type {
  Claim,
  JobChange,
  Now,
  PartitionTick,
  Tick,
  TickerEffect,
  TickerSettings,
  TickerStatus,
} from "./model.ts";
import { Ownership } from "./ownership.ts";
import { PartitionHoldings } from "./partition-holdings.ts";
import type { PartitionRun } from "./partition-run.ts";

/**
 * The ticker without its wires: takes what happened, and says what to do. Each
 * method is one input; `takeEffects` hands over what follows from it.
 *
 * It promises that no occurrence of an owned partition is lost, whatever fails
 * around it: a watermark passes a second only after all of it is acknowledged,
 * and every owner starts at a watermark that its predecessor made known.
 */
export class TickerCore {
  readonly #settings: TickerSettings;
  readonly #ownership: Ownership;
  readonly #heartbeat: Heartbeat;
  readonly #outbox: DueOutbox;
  readonly #holdings: PartitionHoldings;
  readonly #intake: JobsIntake;
  readonly #effects = new Effects();
  #connected = false;
  #claimsLoaded = false;
  #ticksLoaded = false;
  #stopping = false;
  /** The read of the own claims that lifts the fence when it finds them unchanged. */
  #fenceReadId: number | undefined;

  constructor(settings: TickerSettings) {
    this.#settings = settings;
    this.#ownership = new Ownership(settings);
    this.#heartbeat = new Heartbeat(settings.fenceAfterMs);
    this.#outbox = new DueOutbox(settings);
    this.#holdings = new PartitionHoldings(settings, this.#ownership, this.#effects);
    this.#intake = new JobsIntake(settings, this.#holdings.runs, this.#effects);
  }

  takeEffects(): TickerEffect[] {
    return this.#effects.take();
  }

  status(): TickerStatus {
    const totals = this.#holdings.totals();
    return {
      ...totals,
      outstanding: this.#outbox.outstanding,
      fenced: this.#heartbeat.fenced,
      settled:
        this.#claimsLoaded && this.#ticksLoaded && this.#holdings.unanswered === 0 && totals.loaded === totals.owned,
      stopped: this.#stopping && totals.owned === 0 && this.#holdings.unanswered === 0,
    };
  }

  clock(now: Now): void {
    for (const effect of this.#outbox.refusedBefore(now)) this.#effects.emit(effect);
    this.#step(now);
  }

  connectionUp(now: Now): void {
    this.#connected = true;
    this.#ownership.watch(now);
    this.#intake.heardAgain(now);
    this.#step(now);
  }

  connectionLost(): void {
    this.#connected = false;
    this.#ownership.unwatch();
  }

  /** A claim from the claims stream, in stream order. */
  claimSeen(now: Now, partition: number, claim: Claim | undefined, revision: number): void {
    this.#holdings.claimSeen(now, partition, claim, revision);
    if (this.#claimsLoaded) this.#step(now);
  }

  /** All claims that stood at the start were handed in. */
  claimsComplete(now: Now): void {
    this.#claimsLoaded = true;
    this.#step(now);
  }

  /** The claims are in another stream from here on: those that stand there follow, then `claimsComplete`. */
  claimsReset(): void {
    this.#claimsLoaded = false;
    this.#ownership.forgetClaims();
  }

  /** A tick from the ticks stream, in stream order, the own ones included. */
  tickSeen(now: Now, tick: Tick, sequence: number): void {
    this.#ownership.learnTick(now, tick, sequence, !this.#ticksLoaded);
    if (this.#ticksLoaded) this.#step(now);
  }

  /** The last tick of each ticker was handed in. */
  ticksComplete(now: Now): void {
    this.#ticksLoaded = true;
    this.#step(now);
  }

  /** The ticks are in another stream from here on: its last ones follow, then `ticksComplete`. */
  ticksReset(): void {
    this.#ticksLoaded = false;
    this.#ownership.forgetTickSequences();
  }

  lastTickRead(now: Now, ticker: string, last: { tick: Tick; sequence: number } | undefined): void {
    this.#ownership.verify(now, ticker, last);
    this.#step(now);
  }

  /** The answer to `write-claim`: the revision under which it was stored; undefined when it was refused. */
  claimWritten(now: Now, id: number, partition: number, revision: number | undefined): void {
    this.#holdings.claimWritten(now, id, partition, revision);
    this.#step(now);
  }

  /** The answer to `read-claims`. */
  claimsRead(
    now: Now,
    id: number,
    claims: readonly { partition: number; claim: Claim | undefined; revision: number }[],
  ): void {
    for (const { partition, claim, revision } of claims) this.#holdings.claimRead(now, id, partition, claim, revision);
    if (id === this.#fenceReadId) {
      this.#fenceReadId = undefined;
      this.#heartbeat.lift(now);
      if (!this.#heartbeat.fenced) this.#effects.emit({ kind: "notice", notice: { event: "publishing_resumed" } });
    }
    this.#step(now);
  }

  /** JOBS, as this follower reads it from here on, was made at this instant. Another call tells of another stream. */
  jobsOpened(now: Now, followId: number, createdMs: number): void {
    this.#intake.opened(followId, createdMs);
    this.#step(now);
  }

  jobChanged(now: Now, followId: number, partition: number, sequence: number, change: JobChange): void {
    if (this.#intake.changed(now, followId, partition, sequence, change)) this.#publish(now);
  }

  /** The follower handed in all that JOBS holds for its partitions; the first time it says so they are loaded. */
  jobsComplete(now: Now, followId: number): void {
    if (this.#intake.ended(now, followId)) this.#step(now);
  }

  /** The answer to `publish-due`. */
  duePublished(now: Now, id: number, stored: boolean): void {
    const refused = this.#outbox.answered(now, id, stored);
    if (refused) this.#effects.emit({ kind: "notice", notice: { event: "due_publish_refused", ...refused } });
    this.#finish(now);
  }

  /** DUE is another stream: what it held and was not taken yet is lost. */
  dueReplaced(now: Now): void {
    this.#holdings.rewindLost(now);
    this.#step(now);
  }

  /** The answer to `publish-tick`. */
  tickPublished(now: Now, id: number, stored: boolean): void {
    this.#heartbeat.answered(id, stored);
    if (this.#heartbeat.fenced && this.#heartbeat.trusted(now) && this.#fenceReadId === undefined) {
      this.#fenceReadId = this.#effects.newId();
      this.#effects.emit({ kind: "read-claims", id: this.#fenceReadId, partitions: [...this.#holdings.runs.keys()] });
    }
    this.#step(now);
  }

  /** Begins no further second, and gives each partition back as soon as all that was begun is acknowledged. */
  stop(now: Now): void {
    if (this.#stopping) return;
    this.#stopping = true;
    this.#holdings.releaseAll();
    // Says that it is going, for the others to count their shares without it.
    this.#heartbeat.urgent();
    this.#step(now);
  }

  /** Gives everything back as it stands: the watermarks are true at any moment. */
  giveUp(now: Now): void {
    this.stop(now);
    this.#holdings.giveBack(true);
  }

  #step(now: Now): void {
    if (!this.#heartbeat.fenced && !this.#heartbeat.trusted(now)) {
      this.#heartbeat.fence();
      this.#fenceReadId = undefined;
      this.#effects.emit({ kind: "notice", notice: { event: "publishing_stopped" } });
    }
    this.#intake.settle(now);
    this.#holdings.rewindAhead(now, this.#target(now));
    if (this.#connected && this.#claimsLoaded && this.#ticksLoaded && !this.#stopping && !this.#heartbeat.fenced)
      this.#own(now);
    this.#finish(now);
  }

  /** Publishes what may go out, gives back what is finished, and ticks. */
  #finish(now: Now): void {
    this.#publish(now);
    this.#holdings.giveBack(false);
    this.#tick(now);
  }

  #own(now: Now): void {
    this.#holdings.reclaim();
    for (const decision of this.#ownership.decide(now, this.#holdings.summary())) {
      switch (decision.kind) {
        case "ask":
          this.#effects.emit({ kind: "read-last-tick", ticker: decision.ticker });
          break;
        case "give-back":
          this.#holdings.release(decision.partition);
          break;
        case "take":
          this.#holdings.take(decision);
          break;
        default:
          decision satisfies never;
      }
    }
  }

  #publish(now: Now): void {
    if (!this.#connected || this.#heartbeat.fenced) return;
    const target = this.#target(now);
    while (this.#outbox.hasRoom()) {
      // The oldest second first, over all partitions.
      let next: PartitionRun | undefined;
      let nextSecond = Number.POSITIVE_INFINITY;
      for (const run of this.#holdings.runs.values()) {
        const second = run.nextSecond(target);
        if (second === undefined || second >= nextSecond) continue;
        next = run;
        nextSecond = second;
      }
      if (!next) break;
      const issued = next.issue();
      if (issued) this.#effects.emit(this.#outbox.add(this.#effects.newId(), next, issued));
    }
    for (const run of this.#holdings.runs.values()) run.skipTo(target);
  }

  /** The last second whose events may go out by now. */
  #target(now: Now): number {
    return Math.floor((now.wallMs + this.#settings.leadMs) / 1000);
  }

  #tick(now: Now): void {
    if (!this.#mayTick()) return;
    const target = this.#target(now);
    let complete = true;
    for (const run of this.#holdings.runs.values())
      if ((run.watermark?.second ?? Number.NEGATIVE_INFINITY) < target) complete = false;
    if (this.#heartbeat.due(now, target, complete)) this.#sendTick(now);
  }

  /**
   * A first tick that did not name the partitions of an earlier life would hide
   * the watermarks that the last one of that life holds.
   */
  #mayTick(): boolean {
    if (this.#heartbeat.begun) return true;
    if (!this.#claimsLoaded || !this.#ticksLoaded) return false;
    return this.#ownership.leftBehind([...this.#holdings.runs.keys()]).length === 0;
  }

  #sendTick(now: Now): void {
    const second = this.#target(now);
    const partitions: PartitionTick[] = [];
    for (const { partition, epoch, watermark, published } of this.#holdings.runs.values()) {
      partitions.push({ partition, epoch, watermark, published });
    }
    const tick: Tick = { ticker: this.#settings.ticker, second, live: !this.#stopping, partitions };
    const id = this.#effects.newId();
    this.#heartbeat.sent(now, id, second);
    this.#effects.emit({ kind: "publish-tick", id, tick });
  }
}
