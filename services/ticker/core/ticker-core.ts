import type { PartitionClaim } from "../../wire/partition-claim.ts";
import type { Tick } from "../../wire/tick.ts";
import { DueWindow } from "./due-window.ts";
import type { TickerEffect } from "./effects.ts";
import { Effects } from "./effects.ts";
import { Heartbeat } from "./heartbeat.ts";
import type { JobChange } from "./job-change.ts";
import { JobsRouter } from "./jobs-router.ts";
import type { Now } from "./now.ts";
import { Ownership } from "./ownership.ts";
import { PartitionHoldings } from "./partition-holdings.ts";
import type { TickerSettings } from "./ticker-settings.ts";
import type { TickerStatus } from "./ticker-status.ts";

/**
 * The ticker without its wires. Each method is one input: it takes what happened.
 * `takeEffects` hands over what is to be done because of it.
 *
 * It promises that no occurrence of an owned partition is lost, whatever fails
 * around it. A watermark passes a second only after all of it is acknowledged, and
 * every owner starts at a watermark that the one before made known.
 */
export class TickerCore {
  readonly #settings: TickerSettings;
  readonly #ownership: Ownership;
  readonly #heartbeat: Heartbeat;
  readonly #window: DueWindow;
  readonly #holdings: PartitionHoldings;
  readonly #router: JobsRouter;
  readonly #effects = new Effects();
  #connected = false;
  #claimsLoaded = false;
  #ticksLoaded = false;
  #stopping = false;
  /** A read of the own claims is under way; its answer lifts the fence. */
  #fenceReadId: number | undefined;

  constructor(settings: TickerSettings) {
    this.#settings = settings;
    this.#ownership = new Ownership(settings);
    this.#heartbeat = new Heartbeat(settings.fenceAfterMs);
    this.#holdings = new PartitionHoldings(settings, this.#ownership, this.#effects);
    this.#window = new DueWindow(settings, this.#holdings.owned, this.#effects);
    this.#router = new JobsRouter(settings, this.#holdings.owned, this.#effects);
  }

  takeEffects(): TickerEffect[] {
    return this.#effects.take();
  }

  status(): TickerStatus {
    const totals = this.#holdings.totals();
    return {
      ...totals,
      outstanding: this.#window.outstanding,
      fenced: this.#heartbeat.fenced,
      informed:
        this.#claimsLoaded && this.#ticksLoaded && this.#holdings.unanswered === 0 && totals.loaded === totals.owned,
      stopped: this.#stopping && totals.owned === 0 && this.#holdings.unanswered === 0,
    };
  }

  clock(now: Now): void {
    this.#window.retryRefused(now);
    this.#step(now);
  }

  connectionUp(now: Now): void {
    this.#connected = true;
    this.#ownership.watch(now);
    this.#router.reconnected(now);
    this.#step(now);
  }

  connectionLost(): void {
    this.#connected = false;
    this.#ownership.unwatch();
  }

  /** A claim from the claims stream, in stream order. */
  claimSeen(now: Now, partition: number, claim: PartitionClaim | undefined, revision: number): void {
    this.#holdings.claimSeen(now, partition, claim, revision);
    if (this.#claimsLoaded) this.#step(now);
  }

  /** All claims that were there at the start were handed in. */
  claimsComplete(now: Now): void {
    this.#claimsLoaded = true;
    this.#step(now);
  }

  /** The claims are in another stream from here on. Those that are in it follow, then `claimsComplete`. */
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

  /** The ticks are in another stream from here on. Its last ones follow, then `ticksComplete`. */
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
    claims: readonly { partition: number; claim: PartitionClaim | undefined; revision: number }[],
  ): void {
    for (const { partition, claim, revision } of claims) this.#holdings.claimRead(now, id, partition, claim, revision);
    if (id === this.#fenceReadId) {
      this.#fenceReadId = undefined;
      this.#heartbeat.lift(now);
      if (!this.#heartbeat.fenced) this.#effects.emit({ kind: "notice", notice: { event: "publishing_resumed" } });
    }
    this.#step(now);
  }

  /** This follower reads a JOBS that was made at this instant. Another call tells of another stream. */
  jobsOpened(now: Now, followId: number, createdMs: number): void {
    this.#router.opened(followId, createdMs);
    this.#step(now);
  }

  jobChanged(now: Now, followId: number, partition: number, sequence: number, change: JobChange): void {
    if (this.#router.changed(now, followId, partition, sequence, change)) this.#publish(now);
  }

  /** The follower has handed in all that JOBS holds for its partitions. The first time, they are loaded by that. */
  jobsComplete(now: Now, followId: number): void {
    if (this.#router.reachedEnd(now, followId)) this.#step(now);
  }

  /** The answer to `publish-due`. */
  duePublished(now: Now, id: number, stored: boolean): void {
    this.#window.answered(now, id, stored);
    this.#finish(now);
  }

  /** DUE is another stream. What the old one held, and nobody had taken yet, is lost. */
  dueReplaced(now: Now): void {
    this.#holdings.rewindLost(now);
    this.#step(now);
  }

  /** The answer to `publish-tick`. */
  tickPublished(now: Now, id: number, stored: boolean): void {
    this.#heartbeat.answered(id, stored);
    if (this.#heartbeat.fenced && this.#heartbeat.trusted(now) && this.#fenceReadId === undefined) {
      this.#fenceReadId = this.#effects.newId();
      this.#effects.emit({ kind: "read-claims", id: this.#fenceReadId, partitions: [...this.#holdings.owned.keys()] });
    }
    this.#step(now);
  }

  /** Begins no further second, and gives each partition back as soon as all that was begun is acknowledged. */
  stop(now: Now): void {
    if (this.#stopping) return;
    this.#stopping = true;
    this.#holdings.releaseAll();
    // Tells the others, so that they count their shares without this one.
    this.#heartbeat.urgent();
    this.#step(now);
  }

  /** Gives everything back as it stands. The watermarks are true at any moment. */
  giveUp(now: Now): void {
    this.stop(now);
    this.#holdings.giveBack(true);
  }

  #step(now: Now): void {
    if (!this.#heartbeat.fenced && !this.#heartbeat.trusted(now)) {
      this.#heartbeat.fence();
      this.#effects.emit({ kind: "notice", notice: { event: "publishing_stopped" } });
    }
    this.#router.noteFilled(now);
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
    for (const move of this.#ownership.moves(now, this.#holdings.held())) this.#holdings.make(move);
    // One ticker tidies up, the others only ask whether it is done: what they know of the one that is gone can go then.
    const kind = this.#holdings.owned.has(0) ? "forget-ticks" : "read-last-tick";
    for (const leftOver of this.#ownership.leftOvers(now)) this.#effects.emit({ kind, ...leftOver });
  }

  #publish(now: Now): void {
    if (this.#connected && !this.#heartbeat.fenced) this.#window.publish(this.#target(now));
  }

  /** The last second whose events may go out by now. */
  #target(now: Now): number {
    return Math.floor((now.wallMs + this.#settings.leadMs) / 1000);
  }

  #tick(now: Now): void {
    if (!this.#mayTick()) return;
    const second = this.#target(now);
    if (this.#heartbeat.due(now, second, this.#holdings.complete(second))) this.#sendTick(now, second);
  }

  /**
   * The first tick replaces the last one of an earlier life, and the watermarks in
   * it. It waits until all partitions of that life are taken back.
   */
  #mayTick(): boolean {
    if (this.#heartbeat.begun) return true;
    if (!this.#claimsLoaded || !this.#ticksLoaded) return false;
    return this.#ownership.leftBehind([...this.#holdings.owned.keys()]).length === 0;
  }

  #sendTick(now: Now, second: number): void {
    const partitions = this.#holdings.ticks();
    const tick: Tick = { ticker: this.#settings.ticker, second, live: !this.#stopping, partitions };
    const id = this.#effects.newId();
    this.#heartbeat.sent(now, id, second);
    this.#effects.emit({ kind: "publish-tick", id, tick });
  }
}
