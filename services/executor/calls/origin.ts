import type { LaneKind } from "../../wire/lane.ts";
import { Fifo } from "./fifo.ts";
import type { Queueable } from "./queueable.ts";
import { SlowJobs } from "./slow-jobs.ts";

/** How many calls to one origin may be in flight at once. */
export interface Width {
  /** What a hanging one is cut down to, and what each may have in the last places that are free. */
  least: number;
  /** What a fast target gets: more connections would cost more CPU a call. */
  base: number;
  /** What a slow one may grow to. */
  most: number;
}

/**
 * What an origin has shown of itself:
 * - unproven: it has not answered since it was first seen;
 * - answering: it has answered lately, or has nothing to answer;
 * - failing: of its last calls each failed, or had an answer that had to be cut off: its machine refuses them, say, it answers
 *   with 503, or without an end;
 * - silent: it answered, and lets calls wait without any answer for a second;
 * - hanging: for five seconds, or by letting several calls in a row run into their end. Only an answer changes that.
 */
export type Standing = "unproven" | "answering" | "failing" | "silent" | "hanging";

/** How a call ended: well, with an answer that says that it failed, without an answer but at once, or for want of one. */
export type Ending = "succeeded" | "failed" | "refused" | "unanswered";

/** How long a call has been in flight: its caller says what it takes for slow, and for long. */
export type Pace = "quick" | "slow" | "long";

// In looks of the caller, four a second. Not in time: while this process itself is held up
// nobody looks, and no target is to blame.
const silentAfterLooks = 4;
const hangingAfterLooks = 20;
const hangingAfterUnanswered = 8;
const failingAfterFailed = 8;

/** One scheme, host and port: what waits for it, how it answers, and how wide it is. Pure. */
export class Origin<T extends Queueable> {
  readonly key: string;
  readonly #limits: Width;
  readonly #slowJobs = new SlowJobs<T>();
  /** What came on time, and what lay in a lane: they take turns, so that a backlog does not make the rest late as well. */
  readonly #fresh = new Fifo<T>();
  readonly #laned = new Fifo<T>();
  /** What waits here of each lane, also when it is held because its job is slow. */
  readonly #waitingOf: Record<LaneKind, number> = { all: 0, slow: 0 };
  #lanedNext = false;
  #heldNext = false;
  #width: number;
  /** The most calls in flight since the last narrowing. */
  #peak = 0;
  #silentLooks = 0;
  #unansweredInARow = 0;
  #failedInARow = 0;
  /** Whether the last call was not even answered, though it ended at once. */
  #refused = false;
  /** Set by its scheduler alone, which keeps account of it. */
  standing: Standing = "unproven";
  /** Calls in flight. */
  active = 0;
  /** Of those, how many the caller has found to take long. */
  slow = 0;
  /** Whether it stands in line for a place. */
  inTurn = false;
  /** Whether it may make one call beyond its room, to see whether it answers again. */
  mayProbe = false;
  /** Calls in flight that were made so. */
  probes = 0;
  /** Monotonic. */
  lastUsedMs = 0;
  lastSentMs = 0;

  constructor(key: string, limits: Width) {
    this.key = key;
    this.#limits = limits;
    this.#width = limits.base;
  }

  /** One that refuses needs few connections: each is free again at once. */
  get width(): number {
    return this.standing === "failing" && this.#refused ? this.#limits.least : this.#width;
  }

  push(item: T): void {
    if (item.lane) this.#waitingOf[item.lane]++;
    (item.lane ? this.#laned : this.#fresh).push(item);
  }

  queued(): number {
    return this.#fresh.length + this.#laned.length + this.#slowJobs.held();
  }

  /** Of those, the ones that lie in a lane. */
  lanedQueued(kind: LaneKind): number {
    return this.#waitingOf[kind];
  }

  /** Whether its calls end, well or not, as far as it has shown. */
  endsItsCalls(): boolean {
    return this.standing === "answering" || this.standing === "failing";
  }

  /** Whether a call is likely to be on the wire for seconds: of those in flight half are. */
  mayTakeLong(): boolean {
    return !this.endsItsCalls() || (this.active > 0 && this.#slowJobs.inFlight() * 2 >= this.active);
  }

  idle(): boolean {
    return this.active === 0 && this.queued() === 0;
  }

  /**
   * The next to be called. Jobs whose calls take long, at an origin that answers others at once, get
   * half of its width: theirs are passed over while that is used up.
   */
  next(): T | undefined {
    const slowAreFull = this.#slowAreFull();
    this.#heldNext = !this.#heldNext;
    if (this.#heldNext && !slowAreFull && this.#slowJobs.held() > 0) return this.#release();
    for (let item = this.#shift(); item; item = this.#shift()) {
      if (!slowAreFull || !this.#slowJobs.has(item.call.jobId)) return this.#gone(item);
      this.#slowJobs.hold(item);
    }
    return slowAreFull ? undefined : this.#release();
  }

  /** Whether next() has something to give. */
  hasNext(): boolean {
    return this.#fresh.length + this.#laned.length > 0 || (this.#slowJobs.held() > 0 && !this.#slowAreFull());
  }

  took(nowMs: number): void {
    if (this.active === 0 && this.standing !== "hanging") this.#silentLooks = 0;
    this.active++;
    this.#peak = Math.max(this.#peak, this.active);
    this.lastSentMs = nowMs;
    this.mayProbe = false;
  }

  /** Told when a call is found slow, while it is in flight. */
  foundSlow(): void {
    this.slow++;
  }

  /** Told when a call that was found slow goes on for so long that its job is to blame, where others are answered. */
  foundLong({ call }: T): void {
    this.#slowJobs.add(call.jobId);
  }

  /** Told of the end of each call. Returns what its standing is by now. */
  ended({ call }: T, pace: Pace, ending: Ending): Standing {
    this.active--;
    if (pace !== "quick") this.slow--;
    this.#slowJobs.ended(call.jobId, pace === "long");
    if (ending === "unanswered") {
      this.#unansweredInARow++;
      return this.standing;
    }
    this.#silentLooks = 0;
    this.#unansweredInARow = 0;
    this.#refused = ending === "refused";
    this.#failedInARow = ending === "succeeded" ? 0 : this.#failedInARow + 1;
    return this.#failedInARow >= failingAfterFailed ? "failing" : "answering";
  }

  /** Called at each look: what its standing is by now, if nothing is answered. */
  look(): Standing {
    if (this.active > 0) this.#silentLooks++;
    if (this.standing === "hanging" || this.#unansweredInARow >= hangingAfterUnanswered) return "hanging";
    if (this.active === 0 || this.#silentLooks < silentAfterLooks) return this.standing;
    if (this.#silentLooks >= hangingAfterLooks) return "hanging";
    return this.standing === "answering" ? "silent" : this.standing;
  }

  /**
   * Gives a slow target that answers twice the room when calls are late and half
   * of those in flight take long: what it gets a second would otherwise be its
   * width divided by the time it takes. Returns whether there is more room now.
   */
  widen(lateSecond: number): boolean {
    const first = this.#fresh.peek() ?? this.#laned.peek() ?? this.#slowJobs.peek();
    const due = this.standing === "answering" && this.#isSlow() && this.#width < this.#limits.most;
    if (!due || !first || first.second > lateSecond) return false;
    this.#width = Math.min(this.#width * 2, this.#limits.most);
    return true;
  }

  /** Halves the room when half of it was not used since the last time, or when `useless` says that more does not help. */
  narrow(useless: boolean): void {
    if (useless || this.#peak * 2 <= this.#width) this.#width = Math.max(Math.ceil(this.#width / 2), this.#limits.base);
    this.#peak = this.active;
    this.#slowJobs.forget();
  }

  /** Takes out what has waited since before an instant and lies in no lane. */
  takeOverdue(queuedBeforeMs: number, limit: number): T[] {
    const taken: T[] = [];
    while (taken.length < limit) {
      const first = this.#fresh.peek();
      if (!first || first.queuedAtMs >= queuedBeforeMs) break;
      taken.push(first);
      this.#fresh.shift();
    }
    return taken;
  }

  /** Takes out what has been held since before an instant because its job is slow, and does not lie in their lane. */
  takeOverdueOfSlowJobs(queuedBeforeMs: number): T[] {
    const taken = this.#slowJobs.takeIf((item) => item.lane !== "slow" && item.queuedAtMs < queuedBeforeMs);
    return taken.map((item) => this.#gone(item));
  }

  /** Takes out what lies in a lane, or is held because its job is slow, and meets a condition. */
  takeLaned(condition: (item: T) => boolean): T[] {
    return [...this.#laned.takeIf(condition), ...this.#slowJobs.takeIf(condition)].map((item) => this.#gone(item));
  }

  takeAll(): T[] {
    const taken = this.#slowJobs.takeIf(() => true);
    for (let item = this.#shift(); item; item = this.#shift()) taken.push(item);
    this.#waitingOf.all = 0;
    this.#waitingOf.slow = 0;
    return taken;
  }

  #release(): T | undefined {
    const held = this.#slowJobs.release();
    return held && this.#gone(held);
  }

  #gone(item: T): T {
    if (item.lane) this.#waitingOf[item.lane]--;
    return item;
  }

  #shift(): T | undefined {
    this.#lanedNext = !this.#lanedNext;
    if (this.#lanedNext) return this.#laned.shift() ?? this.#fresh.shift();
    return this.#fresh.shift() ?? this.#laned.shift();
  }

  #isSlow(): boolean {
    return this.slow * 2 >= Math.min(this.active, this.#width);
  }

  #slowAreFull(): boolean {
    return this.#slowJobs.inFlight() * 2 >= this.#width && this.#slowJobs.areFew();
  }
}
