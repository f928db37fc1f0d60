import type { LaneKind } from "../../wire/lane.ts";
import { type Ending, Origin, type Pace, type Standing, type Width } from "./origin.ts";
import { Places } from "./places.ts";
import type { Queueable } from "./queueable.ts";
import { SpareCalls } from "./spare-calls.ts";
import { Turn } from "./turn.ts";

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
// Twice as long for each probe of the same target that hangs, too, which may be for as long as its timeout says.
const probeEveryMs = 5_000;
// Of a target whose connections at base hang all.
const rareProbeEveryMs = 30_000;
// However many hang on: a probe may go beyond the room of its origin.
const probesALook = 8;
// Of all places: were there no end to probes, those of calls that hang for minutes would take what is for others.
const probesShare = 1 / 16;
const idleOriginMs = 60_000;
const forgetEveryMs = 250;
// Busier than this it is this process that makes calls slow: more connections would make it slower.
const saturatedAbove = 0.9;

/**
 * Decides which call gets a place next: bounded over all, and for each origin by
 * its standing, so that targets that hang hold up nobody else. Pure: whoever
 * drives it passes the time, makes the calls and says how they ended.
 */
export class CallScheduler<T extends Queueable> {
  readonly #limits: SchedulerLimits;
  readonly #places: Places;
  readonly #origins = new Map<string, Origin<T>>();
  readonly #turn = new Turn<T>();
  /** Those that fail: whoever had a call last comes last. */
  readonly #failing = new Set<Origin<T>>();
  readonly #spare = new SpareCalls();
  /** Whether it is this process that makes calls slow. */
  #saturated = false;
  #waiting = 0;
  /** Whether places came free that origins out of turn may want. */
  #freed = false;
  /** Those in flight that went beyond the room of their origin. */
  readonly #probes = new Set<T>();
  #forgetAgainMs = 0;
  /** Origins that were forgotten, and of which nobody was told yet. */
  #forgotten: string[] = [];

  constructor(limits: Partial<SchedulerLimits> = {}) {
    this.#limits = { ...defaultLimits, ...limits };
    this.#places = new Places(this.#limits);
  }

  inFlight(): number {
    return this.#places.taken();
  }

  waiting(): number {
    return this.#waiting;
  }

  /** Of those, the ones that lie in a lane. */
  lanedWaiting(): number {
    return this.#origins
      .values()
      .reduce((sum, origin) => sum + origin.lanedQueued("all") + origin.lanedQueued("slow"), 0);
  }

  /** Whether there are origins to look after. */
  isEmpty(): boolean {
    return this.#origins.size === 0;
  }

  /**
   * False when the item is better left to the lane of its origin at once: it hangs, and has calls to be tried with. Or
   * `takesRecords` says that there is no room for the record of a call that takes long, and this one may.
   */
  submit(item: T, nowMs: number, takesRecords = true): boolean {
    const origin = this.#originOf(item.call.origin, nowMs);
    if (!item.lane && !takesRecords && origin.mayTakeLong()) return false;
    if (!item.lane && origin.standing === "hanging" && (origin.queued() > 0 || !this.#hasRoom(origin))) return false;
    // One that was reviewed waits on: a job that is changed again and again would keep its message here for good.
    if (item.lane || item.queuedAtMs === 0) item.queuedAtMs = nowMs;
    origin.lastUsedMs = nowMs;
    origin.push(item);
    this.#waiting++;
    this.#enrol(origin);
    return true;
  }

  /** The next call to make. It has its place from now on: `ended` gives that back, or `declined`. */
  next(nowMs: number): T | undefined {
    while (this.#places.areFree()) {
      const origin = this.#turn.shift();
      if (!origin) return undefined;
      const isProbe = origin.mayProbe && !this.#places.hasRoom(origin, this.#spare.any());
      const item = this.#hasRoom(origin) ? origin.next() : undefined;
      if (!item) continue;
      if (isProbe) {
        this.#probes.add(item);
        origin.probes++;
      }
      this.#waiting--;
      const failed = this.#failing.delete(origin);
      if (failed) this.#failing.add(origin);
      this.#spare.take(failed);
      origin.took(nowMs);
      this.#places.take(origin.standing);
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
  ended(item: T, key: string, how: { pace: Pace; ending: Ending }): void {
    const origin = this.#origins.get(key);
    if (!origin) return;
    if (origin.standing !== "answering" || this.#places.areNearlyTaken()) this.#freed = true;
    this.#places.give(origin.standing);
    if (this.#probes.delete(item)) origin.probes--;
    this.#setStanding(origin, origin.ended(item, how.pace, how.ending));
    this.#enrol(origin);
  }

  /** The call was not made after all, and says nothing about its target. */
  declined(item: T, key: string): void {
    const origin = this.#origins.get(key);
    if (!origin) return;
    this.#places.give(origin.standing);
    if (this.#probes.delete(item)) origin.probes--;
    origin.active--;
    if (origin.standing === "hanging") origin.mayProbe = true;
    this.#freed = true;
    this.#enrol(origin);
  }

  /** Called some hundred times a second: gives room to origins that are late and slow, and lets in those that had to wait. */
  check(nowMs: number, wallMs: number): void {
    this.#spare.refill(nowMs);
    for (const origin of this.#failing) this.#enrol(origin);
    if (this.#freed) {
      this.#freed = false;
      for (const origin of this.#origins.values()) this.#enrol(origin);
    }
    if (this.#saturated) return;
    const lateSecond = (wallMs - lateMs) / 1000;
    for (const origin of this.#origins.values()) {
      // The other half stays for origins at their base.
      if (this.#places.areHalfTaken()) return;
      if (origin.widen(lateSecond)) this.#enrol(origin);
    }
  }

  /**
   * Called four times a second: finds out who hangs, and takes out what has waited too long for its target, to be
   * moved to its lane. While this process itself is what is slow, only what waits for a target that hangs or fails.
   * `load`: how busy this process was since the last look, 0 to 1.
   */
  look(nowMs: number, load: number, move: (item: T, kind: LaneKind) => void): void {
    this.#saturated = load > saturatedAbove;
    this.#spare.adapt(load);
    this.#allowProbes(nowMs);
    for (const origin of this.#origins.values()) {
      this.#setStanding(origin, origin.look());
      if (origin.queued() === 0) continue;
      const before = nowMs - overdueAfterMs;
      if (!this.#saturated) this.#takeOut(origin.takeOverdueOfSlowJobs(before), "slow", move);
      const isToBlame = origin.standing === "hanging" || origin.standing === "failing";
      const blocked = isToBlame || (!this.#saturated && !this.#hasRoom(origin));
      if (blocked) this.#takeOut(origin.takeOverdue(before, movedAtOnce), "all", move);
      this.#enrol(origin);
    }
  }

  /** Called now and then: narrows, and forgets who has nothing to do; returns their keys. */
  sweep(nowMs: number): string[] {
    for (const origin of this.#origins.values()) origin.narrow(this.#saturated);
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
    const most = origin.endsItsCalls() ? origin.width * 2 : 1;
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
      // Now and then only: where none is idle each new one would ask all of them.
      if (this.#origins.size >= this.#limits.maxOrigins && nowMs >= this.#forgetAgainMs) {
        this.#forgetAgainMs = nowMs + forgetEveryMs;
        this.#forgetIdle(nowMs);
      }
      origin = new Origin(key, this.#limits.width);
      this.#origins.set(key, origin);
    }
    return origin;
  }

  #forgetIdle(unusedSinceMs: number): void {
    for (const origin of this.#origins.values()) {
      if (!origin.idle() || origin.lastUsedMs > unusedSinceMs) continue;
      this.#origins.delete(origin.key);
      this.#failing.delete(origin);
      this.#forgotten.push(origin.key);
    }
  }

  #enrol(origin: Origin<T>): void {
    if (origin.inTurn || !origin.hasNext() || !this.#hasRoom(origin)) return;
    this.#turn.push(origin);
  }

  #hasRoom(origin: Origin<T>): boolean {
    if (origin.mayProbe && this.#probesLeft() > 0 && this.#places.mayProbe()) return true;
    return this.#places.hasRoom(origin, this.#spare.any());
  }

  /** Those that were not called for the longest time come first. */
  #allowProbes(nowMs: number): void {
    const due = [...this.#origins.values()].filter((origin) => this.#isToBeProbed(origin, nowMs));
    due.sort((a, b) => a.lastSentMs - b.lastSentMs);
    for (const origin of due.slice(0, Math.min(this.#probesLeft(), probesALook))) origin.mayProbe = true;
  }

  /** Also one that was silent and has nothing in flight: it would get no call for as long as others hang. */
  #isToBeProbed({ standing, active, probes, mayProbe, lastSentMs }: Origin<T>, nowMs: number): boolean {
    if (mayProbe || (standing !== "hanging" && !(standing === "silent" && active === 0))) return false;
    const everyMs = active < this.#limits.width.base ? probeEveryMs : rareProbeEveryMs;
    return nowMs - lastSentMs >= everyMs * 2 ** probes;
  }

  #probesLeft(): number {
    return Math.ceil(this.#limits.maxInFlight * probesShare) - this.#probes.size;
  }

  #takeOut(items: readonly T[], kind: LaneKind, move: (item: T, kind: LaneKind) => void): void {
    this.#waiting -= items.length;
    for (const item of items) move(item, kind);
  }

  #setStanding(origin: Origin<T>, standing: Standing): void {
    if (origin.standing === standing) return;
    this.#places.restand(origin, standing);
    if (standing === "failing") this.#failing.add(origin);
    else this.#failing.delete(origin);
    this.#freed = true;
  }
}
