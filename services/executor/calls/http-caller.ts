import type { LookupFunction } from "node:net";
import { failure, type Outcome } from "../../domain/delivery/outcome.ts";
import type { Clock, Random } from "../../platform/process/clock.ts";
import type { LoadMeter } from "../../platform/process/load-meter.ts";
import type { Attempt, Caller } from "./attempt.ts";
import { Origin, type Width } from "./origin.ts";
import { isTimeout, timeoutOf } from "./timeout.ts";
import { createTraceIds } from "./trace-ids.ts";

export interface HttpCallerOptions {
  /** Calls in flight at once, over all origins. */
  maxInFlight?: number;
  /** Connections to one origin, each with at most one call. */
  width?: Width;
  /** Origins remembered; idle ones beyond that are forgotten first. */
  maxOrigins?: number;
}

export interface HttpCaller extends Caller {
  /** Sends when its origin and the whole have room; until then it waits in the origin's queue. */
  submit(attempt: Attempt): void;
  inFlight(): number;
  /** Waiting for a connection. */
  waiting(): number;
  /** Takes back all that was not sent yet. */
  takeWaiting(): Attempt[];
  /** Those on the wire. */
  sent(): readonly Attempt[];
  /** Cuts off what is in flight, without an outcome, and closes all connections. */
  close(): void;
}

const defaultMaxInFlight = 4_096;
// Against one fast target 32, 64 and 128 cost the same CPU a call, within the noise of the
// measurement, and 512 more. A target that takes a second to answer needs as many as it gets calls a second.
// The few that each has in any case let a target that answers go on while others hang.
const defaultWidth: Width = { least: 8, base: 64, most: 1_024 };
// A call that is found in flight so many times in a row is slow: some 50 ms. Not counted in
// time: while this process itself is held up it does not look, and its target is not to blame.
const slowAfterChecks = 5;
// A burst on a fast target has gone out by then, or is held up by this process.
const lateMs = 250;
const lookEveryMs = 250;
// Busier than this it is this process that makes calls slow: more connections would make it slower.
const saturatedAbove = 0.9;
// What waits longer for a slow target waits in the broker: here it keeps its message from being acknowledged.
const overdueAfterMs = 5_000;
const parkedAtOnce = 2_000;
const defaultMaxOrigins = 4_096;
// How exactly a timeout is kept. One look over what is in flight costs less than a timer for each call.
const deadlineCheckMs = 10;
const idleSweepMs = 15_000;
const idleOriginMs = 60_000;

const timedOut = new Error("the deadline of the attempt passed");
const closing = new Error("the executor stops");

/**
 * Makes HTTP calls, bounded over all and for each origin, so that a target that
 * hangs holds up nobody else: its calls wait in its own queue, and after a while
 * in the broker. Places that come free go to the origins in turn. A slow target
 * is given more connections while half of the places are free; one that answers
 * nothing keeps a few.
 */
export function createHttpCaller(
  deps: {
    clock: Clock;
    random: Random;
    /** Asked at the last moment; false when the attempt is not to be made, and somebody sees to its occurrence. */
    admit: (attempt: Attempt) => boolean;
    /** The attempt has its outcome. */
    onEnd: (attempt: Attempt, outcome: Outcome) => void;
    /** The attempt was not made: its target is too slow, and waiting here it would hold up others. */
    park: (attempt: Attempt) => void;
    load: LoadMeter;
    /** Finds the addresses of a target's name. */
    lookup: LookupFunction;
  },
  options: HttpCallerOptions = {},
): HttpCaller {
  const { clock } = deps;
  const maxInFlight = options.maxInFlight ?? defaultMaxInFlight;
  const width = options.width ?? defaultWidth;
  const maxOrigins = options.maxOrigins ?? defaultMaxOrigins;
  const origins = new Map<string, Origin>();
  const inFlight: Attempt[] = [];
  // Origins that have something to send and room to send it, in turn.
  let turn: Origin[] = [];
  let waiting = 0;
  let closed = false;
  let cancelCheck: (() => void) | undefined;
  let nextSweepMs = 0;
  let nextLookMs = 0;
  let saturated = false;
  let scheduledSecond = Number.NaN;
  let scheduledText = "";

  const originOf = (key: string): Origin => {
    let origin = origins.get(key);
    if (!origin) {
      if (origins.size >= maxOrigins) sweep(0);
      origin = new Origin(key, width, deps.lookup);
      origins.set(key, origin);
    }
    return origin;
  };

  const sweep = (unusedMs: number) => {
    const now = clock.monotonicMs();
    for (const origin of origins.values()) {
      if (!origin.idle() || now - origin.lastUsedMs < unusedMs) continue;
      origin.close();
      origins.delete(origin.key);
    }
  };

  /** Gives late origins more room while half of all places are free: those stay for origins at their base. */
  const widen = () => {
    if (saturated) return;
    const lateSecond = (clock.nowMs() - lateMs) / 1000;
    for (const origin of origins.values()) {
      if (inFlight.length * 2 >= maxInFlight) return;
      if (!origin.widen(lateSecond)) continue;
      enrol(origin);
      serve();
    }
  };

  const lookAtOrigins = (now: number) => {
    saturated = deps.load.utilisation() > saturatedAbove;
    for (const origin of origins.values()) {
      origin.look(now);
      for (const attempt of origin.takeOverdue(now - overdueAfterMs, parkedAtOnce, saturated)) {
        waiting--;
        deps.park(attempt);
      }
    }
  };

  const check = () => {
    const now = clock.monotonicMs();
    // Backwards: ending one moves the last into its place.
    for (let i = inFlight.length - 1; i >= 0; i--) {
      const attempt = inFlight[i];
      if (!attempt) continue;
      if (attempt.deadlineMs <= now) attempt.end(timeoutOf(attempt), timedOut);
      else if (++attempt.checks === slowAfterChecks) originOf(attempt.call.origin).slow++;
    }
    widen();
    if (now >= nextLookMs) {
      nextLookMs = now + lookEveryMs;
      lookAtOrigins(now);
    }
    if (now >= nextSweepMs) {
      nextSweepMs = now + idleSweepMs;
      sweep(idleOriginMs);
      for (const origin of origins.values()) origin.narrow(saturated);
    }
    // At rest the timer only sweeps.
    const delayMs = inFlight.length > 0 ? deadlineCheckMs : idleSweepMs;
    cancelCheck = inFlight.length > 0 || origins.size > 0 ? clock.after(delayMs, check) : undefined;
    checkingOften = delayMs === deadlineCheckMs;
  };
  let checkingOften = false;
  const ensureCheck = () => {
    if (checkingOften) return;
    cancelCheck?.();
    checkingOften = true;
    cancelCheck = clock.after(deadlineCheckMs, check);
  };

  const send = (origin: Origin, attempt: Attempt) => {
    if (!deps.admit(attempt)) return;
    if (attempt.call.origin !== origin.key) {
      // The job has another target since.
      submit(attempt);
      return;
    }
    attempt.slot = inFlight.push(attempt) - 1;
    ensureCheck();
    attempt.start(origin.take(clock.monotonicMs()));
  };

  const serveInTurn = () => {
    for (let sent = true; sent; ) {
      const round = turn;
      const full: Origin[] = [];
      turn = [];
      sent = false;
      for (const origin of round) {
        if (inFlight.length >= maxInFlight && origin.active >= width.least) {
          full.push(origin);
          continue;
        }
        origin.inTurn = false;
        const attempt = origin.hasRoom() ? origin.next() : undefined;
        if (!attempt) continue;
        waiting--;
        sent = true;
        send(origin, attempt);
        enrol(origin);
      }
      // First in the next round: those that came after them have had their turn.
      if (full.length > 0) turn = [...full, ...turn];
    }
  };
  let serving = false;
  const serve = () => {
    // A call that fails at once releases its place from within send().
    if (serving) return;
    serving = true;
    try {
      serveInTurn();
    } finally {
      // Whatever is thrown on the way: the calls of others go on.
      serving = false;
    }
  };
  const enrol = (origin: Origin) => {
    if (origin.inTurn || !origin.hasRoom() || origin.queued() === 0) return;
    origin.inTurn = true;
    turn.push(origin);
  };

  const submit = (attempt: Attempt) => {
    const { call } = attempt;
    if (call.origin === "") {
      if (!deps.admit(attempt)) return;
      const outcome = failure("NETWORK_ERROR", "the URL of the job is not valid");
      attempt.reject(outcome);
      deps.onEnd(attempt, outcome);
      return;
    }
    const origin = originOf(call.origin);
    attempt.queuedAtMs = clock.monotonicMs();
    origin.lastUsedMs = attempt.queuedAtMs;
    origin.push(attempt);
    waiting++;
    enrol(origin);
    serve();
  };

  return {
    clock,
    traceParent: createTraceIds(deps.random),
    scheduledTime(second) {
      // All of one second ask one after the other.
      if (second !== scheduledSecond) {
        scheduledSecond = second;
        scheduledText = new Date(second * 1000).toISOString().replace(".000Z", "Z");
      }
      return scheduledText;
    },
    submit,
    released(attempt) {
      const last = inFlight.pop();
      if (last && last !== attempt) {
        inFlight[attempt.slot] = last;
        last.slot = attempt.slot;
      }
      const origin = originOf(attempt.call.origin);
      origin.active--;
      if (attempt.checks >= slowAfterChecks) origin.slow--;
      if (attempt.connection) origin.give(attempt.connection);
      // What was cut off is no failure of the target: it comes again.
      if (closed) return;
      if (attempt.outcome) {
        if (!isTimeout(attempt.outcome)) origin.answered(clock.monotonicMs());
        deps.onEnd(attempt, attempt.outcome);
      }
      enrol(origin);
      serve();
    },
    inFlight: () => inFlight.length,
    waiting: () => waiting,
    takeWaiting() {
      const taken: Attempt[] = [];
      for (const origin of origins.values()) {
        for (let attempt = origin.next(); attempt; attempt = origin.next()) taken.push(attempt);
      }
      waiting = 0;
      return taken;
    },
    sent: () => inFlight,
    close() {
      closed = true;
      cancelCheck?.();
      cancelCheck = undefined;
      for (const attempt of [...inFlight]) attempt.end(failure("NETWORK_ERROR", closing.message), closing);
      for (const origin of origins.values()) origin.close();
      origins.clear();
    },
  };
}
