import type { LaneKind } from "../../wire/lane.ts";
import { Fifo } from "./fifo.ts";
import { Origin, type Pace, type Standing, type Width } from "./origin.ts";
import type { Queueable } from "./queueable.ts";

export interface SchedulerLimits {
  /** Calls in flight at once, over all origins. */
  maxInFlight: number;
  width: Width;
  /** Origins remembered; idle ones beyond that are forgotten first. */
  maxOrigins: number;
}

// Against one fast target 32, 64 and 128 connections cost the same CPU a call, within the noise of the
// measurement, and 512 more. A target that takes a second to answer needs as many as it gets calls a second.
// The few at least let a target that answers go on while others hang.
const defaultLimits: SchedulerLimits = {
  maxInFlight: 4_096,
  width: { least: 8, base: 64, most: 1_024 },
  maxOrigins: 4_096,
};

// A burst on a fast target has gone out by then, or is held up by this process.
const lateMs = 250;
// What waits longer for its target waits in the broker: here it keeps its message from being acknowledged.
const overdueAfterMs = 3_000;
const movedAtOnce = 2_000;
const probeEveryMs = 5_000;
// Of a target whose connections at base hang all, less often: each probe may hang for as long as its timeout says.
const rareProbeEveryMs = 30_000;
// However many hang on: a probe may go beyond the room of its origin.
const probesALook = 8;
const idleOriginMs = 60_000;

/**
 * Decides which call gets a place next: bounded over all, and for each origin by
 * its standing, so that targets that hang hold up nobody else. Pure: whoever
 * drives it passes the time, makes the calls and says how they ended.
 *
 * Of all places,
 * - the last eighth is for origins that have few calls in flight, and the last sixteenth for those that have none, and
 *   for probes;
 * - origins that hang or fell silent get no more than half. One that hangs has a
 *   call in flight to see whether it answers, a few where a quarter is not used up;
 * - origins that never answered get a quarter at most, and half of what the
 *   hanging ones have left: there is always something for one that nobody knows.
 *   One call each once a quarter of that is in use.
 */
export class CallScheduler<T extends Queueable> {
  readonly #limits: SchedulerLimits;
  readonly #origins = new Map<string, Origin<T>>();
  // Origins that have something to send and room to send it, in turn.
  readonly #turn = new Fifo<Origin<T>>();
  /** Calls in flight by the standing of their origin. */
  readonly #inFlightOf: Record<Standing, number> = { unproven: 0, answering: 0, silent: 0, hanging: 0 };
  #inFlight = 0;
  #waiting = 0;
  /** Whether places came free that origins out of turn may want. */
  #freed = false;
  /** How many origins that hang may still be allowed a probe in this look. */
  #probesLeft = 0;
  /** Origins that were forgotten, and of which nobody was told yet. */
  #forgotten: string[] = [];

  constructor(limits: Partial<SchedulerLimits> = {}) {
    this.#limits = { ...defaultLimits, ...limits };
  }

  inFlight(): number {
    return this.#inFlight;
  }

  waiting(): number {
    return this.#waiting;
  }

  /** Whether there are origins to look after. */
  isEmpty(): boolean {
    return this.#origins.size === 0;
  }

  /**
   * False when the item is better left to the lane of its origin at once: it hangs, and has calls to be tried with. Or it
   * does not answer, and `takesRecords` says that there is no room for the record of a call that may take long.
   */
  submit(item: T, nowMs: number, takesRecords = true): boolean {
    const origin = this.#originOf(item.call.origin, nowMs);
    if (!item.lane && origin.standing !== "answering" && !takesRecords) return false;
    if (!item.lane && origin.standing === "hanging" && (origin.queued() > 0 || !this.#hasRoom(origin))) return false;
    item.queuedAtMs = nowMs;
    origin.lastUsedMs = nowMs;
    origin.push(item);
    this.#waiting++;
    this.#enrol(origin);
    return true;
  }

  /** The next call to make. It has its place from now on: `ended` gives that back, or `declined`. */
  next(nowMs: number): T | undefined {
    while (this.#inFlight < this.#limits.maxInFlight) {
      const origin = this.#turn.shift();
      if (!origin) return undefined;
      origin.inTurn = false;
      const item = this.#hasRoom(origin) ? origin.next() : undefined;
      if (!item) continue;
      this.#waiting--;
      origin.took(nowMs);
      this.#count(origin, 1);
      this.#enrol(origin);
      return item;
    }
    return undefined;
  }

  /** The call was quick so far, and is not any more. */
  foundSlow(item: T): void {
    this.#origins.get(item.call.origin)?.foundSlow();
  }

  /** The call was slow, and takes long by now. */
  foundLong(item: T): void {
    this.#origins.get(item.call.origin)?.foundLong(item);
  }

  /** The call is over. `key`: the origin under which it got its place. */
  ended(item: T, key: string, how: { pace: Pace; answered: boolean }): void {
    const origin = this.#origins.get(key);
    if (!origin) return;
    if (origin.standing !== "answering" || this.#isNearlyFull()) this.#freed = true;
    this.#count(origin, -1);
    origin.ended(item, how.pace, how.answered);
    if (how.answered) this.#setStanding(origin, "answering");
    this.#enrol(origin);
  }

  /** The call was not made after all, and says nothing about its target. */
  declined(key: string): void {
    const origin = this.#origins.get(key);
    if (!origin) return;
    this.#count(origin, -1);
    origin.active--;
    if (origin.standing === "hanging") origin.mayProbe = true;
    this.#freed = true;
    this.#enrol(origin);
  }

  /** Called some hundred times a second: gives room to origins that are late and slow, and lets in those that had to wait. */
  check(wallMs: number, saturated: boolean): void {
    if (this.#freed) {
      this.#freed = false;
      for (const origin of this.#origins.values()) this.#enrol(origin);
    }
    if (saturated) return;
    const lateSecond = (wallMs - lateMs) / 1000;
    for (const origin of this.#origins.values()) {
      // The other half stays for origins at their base.
      if (this.#inFlight * 2 >= this.#limits.maxInFlight) return;
      if (origin.widen(lateSecond)) this.#enrol(origin);
    }
  }

  /**
   * Called four times a second: finds out who hangs, and takes out what has waited too long for its target, to be
   * moved to its lane. While this process itself is what is slow, only what waits for a target that hangs.
   */
  look(nowMs: number, saturated: boolean, move: (item: T, kind: LaneKind) => void): void {
    this.#probesLeft = probesALook;
    for (const origin of this.#origins.values()) {
      this.#setStanding(origin, origin.look());
      if (origin.standing === "hanging") this.#allowProbe(origin, nowMs);
      if (origin.queued() === 0) continue;
      const before = nowMs - overdueAfterMs;
      if (!saturated) this.#takeOut(origin.takeOverdueOfSlowJobs(before), "slow", move);
      const blocked = origin.standing === "hanging" || (!saturated && !this.#hasRoom(origin));
      if (blocked) this.#takeOut(origin.takeOverdue(before, movedAtOnce), "all", move);
      this.#enrol(origin);
    }
  }

  /** Called now and then: narrows, and forgets who has nothing to do; returns their keys. */
  sweep(nowMs: number, saturated: boolean): string[] {
    for (const origin of this.#origins.values()) origin.narrow(saturated);
    this.#forgetIdle(nowMs - idleOriginMs);
    return this.#forgotten.splice(0);
  }

  /**
   * How many more of a lane would be of use here. None of an origin that hangs while one waits to be tried;
   * some of one that nobody knows.
   */
  wantedOfLane(key: string, kind: LaneKind): number {
    const origin = this.#origins.get(key);
    if (!origin) return 1;
    const most = origin.standing === "answering" ? origin.width * 2 : 1;
    return Math.max(0, most - origin.lanedQueued(kind));
  }

  /** Takes out what may wait here for long, since it lies in a lane or its job is slow, and meets a condition. */
  takeLaned(condition: (item: T) => boolean): T[] {
    const taken: T[] = [];
    for (const origin of this.#origins.values()) if (origin.queued() > 0) taken.push(...origin.takeLaned(condition));
    this.#waiting -= taken.length;
    return taken;
  }

  takeAll(): T[] {
    const taken: T[] = [];
    for (const origin of this.#origins.values()) taken.push(...origin.takeAll());
    this.#waiting = 0;
    return taken;
  }

  #originOf(key: string, nowMs: number): Origin<T> {
    let origin = this.#origins.get(key);
    if (!origin) {
      if (this.#origins.size >= this.#limits.maxOrigins) this.#forgetIdle(nowMs);
      origin = new Origin(key, this.#limits.width);
      this.#origins.set(key, origin);
    }
    return origin;
  }

  #forgetIdle(unusedSinceMs: number): void {
    for (const origin of this.#origins.values()) {
      if (!origin.idle() || origin.lastUsedMs > unusedSinceMs) continue;
      this.#origins.delete(origin.key);
      this.#forgotten.push(origin.key);
    }
  }

  #enrol(origin: Origin<T>): void {
    if (origin.inTurn || !origin.hasNext() || !this.#hasRoom(origin)) return;
    origin.inTurn = true;
    this.#turn.push(origin);
  }

  #hasRoom(origin: Origin<T>): boolean {
    const { maxInFlight, width } = this.#limits;
    const { active } = origin;
    // The very last are for origins that nobody knows.
    if (origin.mayProbe && this.#inFlight * 64 < maxInFlight * 63) return true;
    if (this.#isNearlyFull() && active >= (this.#inFlight * 16 < maxInFlight * 15 ? width.least : 1)) return false;
    const { unproven, silent, hanging } = this.#inFlightOf;
    switch (origin.standing) {
      case "answering":
        return active < origin.width;
      case "silent":
        return active < origin.width && silent + hanging < maxInFlight / 2;
      case "unproven": {
        const left = ((maxInFlight * 7) / 8 - hanging - silent) / 2;
        const places = Math.min(maxInFlight / 4, Math.max(left, maxInFlight / 64));
        return unproven < places && active < (unproven * 4 < places ? width.base : 1);
      }
      case "hanging":
        if (silent + hanging >= maxInFlight / 2) return false;
        return active < (silent + hanging < maxInFlight / 4 ? width.least : 1);
    }
  }

  #isNearlyFull(): boolean {
    return this.#inFlight * 8 >= this.#limits.maxInFlight * 7;
  }

  #allowProbe(origin: Origin<T>, nowMs: number): void {
    const everyMs = origin.active < this.#limits.width.base ? probeEveryMs : rareProbeEveryMs;
    if (origin.mayProbe || nowMs - origin.lastSentMs < everyMs || this.#probesLeft <= 0) return;
    origin.mayProbe = true;
    this.#probesLeft--;
  }

  #takeOut(items: readonly T[], kind: LaneKind, move: (item: T, kind: LaneKind) => void): void {
    this.#waiting -= items.length;
    for (const item of items) move(item, kind);
  }

  #count(origin: Origin<T>, calls: 1 | -1): void {
    this.#inFlight += calls;
    this.#inFlightOf[origin.standing] += calls;
  }

  #setStanding(origin: Origin<T>, standing: Standing): void {
    if (origin.standing === standing) return;
    this.#inFlightOf[origin.standing] -= origin.active;
    this.#inFlightOf[standing] += origin.active;
    origin.standing = standing;
    this.#freed = true;
  }
}
