import type { LookupFunction } from "node:net";
import { failure } from "../../domain/delivery/outcome.ts";
import type { Clock, Random } from "../../platform/process/clock.ts";
import type { LoadMeter } from "../../platform/process/load-meter.ts";
import type { LaneKind } from "../../wire/lane.ts";
import type { Attempt, Ended } from "./attempt.ts";
import { CallScheduler, type SchedulerLimits } from "./call-scheduler.ts";
import { ConnectionPool } from "./connection-pool.ts";
import { type Caller, Exchange } from "./exchange.ts";
import { createPreparation } from "./preparation.ts";
import { SetAside } from "./set-aside.ts";
import { endingOf, timeoutOf } from "./timeout.ts";

export interface HttpCaller {
  /**
   * Each is sent when its origin and the whole have room; until then it waits in the origin's queue. Of those that come
   * together, the origins have one sent in turn: a few calls do not stand behind the thousands of another origin.
   */
  submit(attempts: readonly Attempt[]): void;
  inFlight(): number;
  /** Waiting for a connection. */
  waiting(): number;
  /** Of those, the ones that lie in a lane. Costs a look at each origin. */
  lanedWaiting(): number;
  /** How many more of an origin's lane would be of use here. */
  wantedOfLane(origin: string, kind: LaneKind): number;
  /** Takes back all that was not sent yet. */
  takeWaiting(): Attempt[];
  /** What is on the wire at this moment. */
  onWire(): readonly OnWire[];
  /** Cuts off what is in flight, without an outcome, and closes all connections. */
  close(): void;
}

/** An attempt whose call is on the wire. */
export interface OnWire {
  readonly attempt: Attempt;
  /** When its request was sent, unix milliseconds. */
  readonly sentAtMs: number;
}

export interface HttpCallerDeps {
  clock: Clock;
  random: Random;
  /** Asked at the last moment; false when the attempt is not to be made, and somebody sees to its occurrence. */
  admit: (attempt: Attempt) => boolean;
  /** The attempt was made, or can never be. */
  onEnd: (attempt: Attempt, end: Ended) => void;
  /** The attempt was not made: it has to wait for its target, and is to do so in a lane. */
  move: (attempt: Attempt, kind: LaneKind) => void;
  /** The attempt is in flight, and takes so long that its message should not wait for it. */
  outlive: (attempt: Attempt) => void;
  /** Whether there is room for the records of calls that take long. */
  takesRecords: () => boolean;
  /** Whether an attempt that waits is to be reviewed: it is late, or its job may have changed. */
  isDoubtful: (attempt: Attempt) => boolean;
  /** Whether so much was forgotten since that nobody knows whether its job still stands. */
  isStale: (attempt: Attempt) => boolean;
  /** Has it submitted again, unless it is not to be made any more. */
  review: (attempt: Attempt) => void;
  load: LoadMeter;
  /** Finds the addresses of a target's name. */
  lookup: LookupFunction;
}

// A call that is found in flight so many times in a row is slow: some 50 ms. Not counted in
// time: while this process itself is held up it does not look, and its target is not to blame.
const slowAfterChecks = 5;
// In checks as well: some second, and some 3 s.
const longAfterChecks = 100;
const outlivesAfterChecks = 300;
const lookEveryMs = 250;
// How exactly a timeout is kept. One look over what is in flight costs less than a timer for each call.
const checkEveryMs = 10;
const sweepEveryMs = 15_000;
const reviewEveryMs = 2_000;

const invalidUrl = failure("NETWORK_ERROR", "the URL of the job is not valid");
const timedOut = new Error("the deadline of the attempt passed");
const closing = new Error("the executor stops");

/** Makes HTTP calls as its scheduler gives them places, and keeps their deadlines. */
export function createHttpCaller(deps: HttpCallerDeps, limits: Partial<SchedulerLimits> = {}): HttpCaller {
  const { clock } = deps;
  const scheduler = new CallScheduler<Attempt>(limits);
  const pool = new ConnectionPool(deps.lookup);
  const inFlight: Exchange[] = [];
  const setAside = new SetAside<Attempt>();
  let closed = false;
  let cancelCheck: (() => void) | undefined;
  let checkingOften = false;
  let nextSweepMs = 0;
  let nextLookMs = 0;
  let nextReviewMs = 0;

  const moveSetAside = (now: number) => {
    for (const attempt of setAside.takeDue(now, clock.nowMs())) {
      // Its target may answer again.
      if (!scheduler.submit(attempt, now, deps.takesRecords())) deps.move(attempt, "all");
    }
  };

  const lookAtSlow = (exchange: Exchange) => {
    const { attempt, checks } = exchange;
    if (checks === slowAfterChecks) {
      exchange.pace = "slow";
      scheduler.foundSlow(attempt);
    } else if (checks === longAfterChecks) {
      exchange.pace = "long";
      scheduler.foundLong(attempt);
    } else if (checks === outlivesAfterChecks) deps.outlive(attempt);
  };

  const check = () => {
    const now = clock.monotonicMs();
    // Backwards: ending one moves the last into its place.
    for (let i = inFlight.length - 1; i >= 0; i--) {
      const exchange = inFlight[i];
      if (!exchange) continue;
      exchange.checks++;
      if (exchange.deadlineMs <= now) exchange.end(timeoutOf(exchange), timedOut);
      else if (exchange.checks >= slowAfterChecks) lookAtSlow(exchange);
    }
    scheduler.check(now, clock.nowMs());
    if (now >= nextLookMs) {
      nextLookMs = now + lookEveryMs;
      scheduler.look(now, deps.load.utilisation(), deps.move);
    }
    moveSetAside(now);
    if (now >= nextReviewMs) {
      nextReviewMs = now + reviewEveryMs;
      // What waits for long may be too late meanwhile, or its job have changed.
      for (const attempt of scheduler.takeLaned(deps.isDoubtful)) deps.review(attempt);
    }
    if (now >= nextSweepMs) {
      nextSweepMs = now + sweepEveryMs;
      for (const origin of scheduler.sweep(now)) pool.forget(origin);
      pool.trim();
    }
    serve();
    schedule();
  };
  const waiting = () => scheduler.waiting() + setAside.length;
  /** At rest the timer only sweeps. */
  const schedule = () => {
    checkingOften = inFlight.length > 0 || waiting() > 0;
    const delayMs = checkingOften ? checkEveryMs : sweepEveryMs;
    cancelCheck = scheduler.isEmpty() && !checkingOften ? undefined : clock.after(delayMs, check);
  };
  const ensureCheck = () => {
    if (checkingOften || closed) return;
    cancelCheck?.();
    checkingOften = true;
    cancelCheck = clock.after(checkEveryMs, check);
  };

  const send = (attempt: Attempt) => {
    const { origin } = attempt.call;
    if (deps.isStale(attempt)) {
      scheduler.declined(attempt, origin);
      return deps.review(attempt);
    }
    if (!deps.admit(attempt)) return scheduler.declined(attempt, origin);
    if (attempt.call.origin !== origin) {
      // The job has another target since, whose lane it does not lie in.
      scheduler.declined(attempt, origin);
      attempt.lane = undefined;
      return submit([attempt]);
    }
    const exchange = new Exchange(caller, attempt, pool.take(origin));
    exchange.slot = inFlight.push(exchange) - 1;
    exchange.start();
  };

  let serving = false;
  const serve = () => {
    // A call that fails at once releases its place from within send().
    if (serving) return;
    serving = true;
    try {
      const now = clock.monotonicMs();
      for (let attempt = scheduler.next(now); attempt; attempt = scheduler.next(now)) send(attempt);
    } finally {
      // Whatever is thrown on the way: the calls of others go on.
      serving = false;
    }
  };

  const enqueue = (attempt: Attempt, now: number) => {
    if (attempt.call.origin === "") {
      if (!deps.admit(attempt)) return;
      const ended: Ended = { kind: "ended", outcome: invalidUrl, sentAtMs: clock.nowMs(), durationMs: 0 };
      attempt.state = ended;
      deps.onEnd(attempt, ended);
    } else if (!scheduler.submit(attempt, now, deps.takesRecords())) {
      setAside.add(attempt, now);
    }
  };
  const submit = (attempts: readonly Attempt[]) => {
    const now = clock.monotonicMs();
    for (const attempt of attempts) enqueue(attempt, now);
    ensureCheck();
    serve();
  };

  const caller: Caller = {
    clock,
    preparation: createPreparation(deps.random),
    released(exchange, ended) {
      const last = inFlight.pop();
      if (last && last !== exchange) {
        inFlight[exchange.slot] = last;
        last.slot = exchange.slot;
      }
      const { attempt, call, connection, pace } = exchange;
      pool.give(call.origin, connection);
      scheduler.ended(attempt, call.origin, { pace, ending: endingOf(exchange, ended.outcome) });
      // What was cut off is no failure of the target: it comes again.
      if (closed) return;
      deps.onEnd(attempt, ended);
      serve();
    },
  };

  return {
    submit,
    inFlight: () => inFlight.length,
    waiting,
    lanedWaiting: () => scheduler.lanedWaiting(),
    wantedOfLane: (origin, kind) => scheduler.wantedOfLane(origin, kind),
    takeWaiting: () => [...scheduler.takeAll(), ...setAside.takeAll()],
    onWire: () => inFlight,
    close() {
      closed = true;
      cancelCheck?.();
      cancelCheck = undefined;
      for (const exchange of [...inFlight]) exchange.end(failure("NETWORK_ERROR", closing.message), closing);
      pool.close();
    },
  };
}
