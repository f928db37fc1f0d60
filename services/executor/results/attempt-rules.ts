import { ExecutionStatus } from "../../../gen/carillon/v1/execution_pb.ts";
import { retryWaitMs } from "../../domain/delivery/backoff.ts";
import type { SkipReason } from "../../domain/delivery/skip-reason.ts";
import type { Clock, Random } from "../../platform/process/clock.ts";
import { type AttemptResult, waitResult } from "../../wire/attempt-result.ts";
import type { LaneKind } from "../../wire/lane.ts";
import type { Attempt, Ended } from "../calls/attempt.ts";
import type { ExecutorMetrics } from "../executor-metrics.ts";
import type { LanePublisher } from "../lanes/lane-publisher.ts";
import type { RunningRecords } from "../lanes/running-records.ts";
import type { JobStates } from "../verdict/job-states.ts";
import type { DeadLetters } from "./dead-letters.ts";
import type { ResultPublisher } from "./result-publisher.ts";
import type { RetryPublisher } from "./retry-publisher.ts";
import type { RetryRoom } from "./retry-room.ts";

/** What happens around each attempt: whether its call is made, and what becomes of it. */
export interface AttemptRules {
  /** False when the job's newest state forbids the call: its skip is recorded then. */
  admit(attempt: Attempt): boolean;
  ended(attempt: Attempt, end: Ended): void;
  /** Whether it is too late to make it, or its job has changed, or may have: a review decides. */
  isDoubtful(attempt: Attempt): boolean;
  /** Whether changes of its job may have been forgotten since it was read. */
  isStale(attempt: Attempt): boolean;
  /** Moves an attempt that was not made to a lane: its target keeps it waiting too long. */
  move(attempt: Attempt, kind: LaneKind): void;
  /** Lets the message of an attempt go that is on the wire for long. */
  outlive(attempt: Attempt): void;
}

const skipMessages: Readonly<Record<SkipReason, string>> = {
  JOB_PAUSED: "the job was paused before it started",
  JOB_DELETED: "the job was deleted before it started",
  JOB_CHANGED: "the schedule was changed before it started",
  EXPIRED: "it could not start within expire_after of its second",
  BACKLOG_FULL: "more waits for its target already than there is room for",
};

const skipStatuses: Readonly<Record<SkipReason, ExecutionStatus>> = {
  JOB_PAUSED: ExecutionStatus.SKIPPED_PAUSED,
  JOB_DELETED: ExecutionStatus.SKIPPED_PAUSED,
  JOB_CHANGED: ExecutionStatus.SKIPPED_SUPERSEDED,
  EXPIRED: ExecutionStatus.SKIPPED_EXPIRED,
  BACKLOG_FULL: ExecutionStatus.SKIPPED_EXPIRED,
};

export function createAttemptRules(deps: {
  clock: Clock;
  random: Random;
  states: JobStates;
  results: ResultPublisher;
  retries: RetryPublisher;
  lanes: LanePublisher;
  running: RunningRecords;
  dead: DeadLetters;
  metrics: ExecutorMetrics;
  /** Whether there is room in a lane. */
  mayFill: (origin: string, kind: LaneKind) => boolean;
  retryRoom: RetryRoom;
}): AttemptRules {
  const { clock, states, results, retries, retryRoom, metrics } = deps;

  const skip = (attempt: Attempt, reason: SkipReason) => {
    metrics.skipped();
    const result: AttemptResult = {
      jobId: attempt.call.jobId,
      second: attempt.second,
      run: attempt.call.run,
      attempt: 0,
      status: skipStatuses[reason],
      final: true,
      sentAtMs: clock.nowMs(),
      durationMs: 0,
      httpStatus: 0,
      reason,
      message: skipMessages[reason],
      trigger: attempt.call.trigger,
      retryAtMs: 0,
    };
    if (!attempt.redrive) return results.add(result, attempt.settlement);
    // An execution that was redriven in vain is dead as before: history knows how it failed.
    const last = { ...result, attempt: attempt.number - 1, status: ExecutionStatus.FAILED };
    deps.dead.publish(attempt, last, settle(attempt));
  };

  const settle =
    ({ settlement }: Attempt) =>
    (stored: boolean) => {
      if (stored) settlement.done();
      else settlement.refused();
    };

  const resultOf = (attempt: Attempt, { outcome, sentAtMs, durationMs }: Ended, final: boolean): AttemptResult => {
    const failed = outcome.kind === "failure";
    return {
      jobId: attempt.call.jobId,
      second: attempt.second,
      run: attempt.call.run,
      attempt: attempt.number,
      status: failed ? ExecutionStatus.FAILED : ExecutionStatus.SUCCESS,
      final,
      sentAtMs,
      durationMs,
      httpStatus: outcome.httpStatus,
      reason: failed ? outcome.reason : "",
      message: failed ? outcome.message : "",
      trigger: attempt.call.trigger,
      retryAtMs: 0,
    };
  };

  /** What nobody knows of yet, and may lie in its lane for hours, is shown while it does. */
  const tellWait = ({ call, second }: Attempt) => {
    const { jobId, run, trigger, origin } = call;
    const message = `waits for its target, ${origin}`;
    results.tell(waitResult({ jobId, second, run, trigger, sinceMs: clock.nowMs(), message }));
  };

  const settleWith = (attempt: Attempt, result: AttemptResult) => (stored: boolean) => {
    if (stored) results.add(result, attempt.settlement);
    else attempt.settlement.refused();
  };

  /** The last one of its execution: it failed for good. */
  const die = (attempt: Attempt, result: AttemptResult) => {
    deps.dead.publish(attempt, result, settleWith(attempt, result));
  };
  /** Whoever asked for more attempts gets none, which is said: the execution is dead, and may be redriven. */
  const dieUnretried = (attempt: Attempt, result: AttemptResult) => {
    metrics.unretried();
    const message = `${result.message} (not tried again: more retries wait already than there is room for)`;
    die(attempt, { ...result, final: true, message, retryAtMs: 0 });
  };

  const isExpired = ({ call, second, redrive }: Attempt) =>
    clock.nowMs() > (redrive?.atMs ?? second * 1000) + call.expireAfterMs;

  /** While no changes are followed there is nothing better to know. */
  const isStale = ({ knownAtMs }: Attempt) =>
    knownAtMs < states.followedSinceMs() && Number.isFinite(states.followedSinceMs());

  return {
    isStale,
    isDoubtful: (attempt) =>
      isStale(attempt) || isExpired(attempt) || states.hasNewer(attempt.call, attempt.judgedGeneration),
    admit(attempt) {
      if (!states.empty()) {
        const verdict = states.judge({ call: attempt.call, second: attempt.second, started: attempt.number > 1 });
        if (verdict.kind === "skip") {
          skip(attempt, verdict.reason);
          return false;
        }
        attempt.call = verdict.call;
        attempt.judgedGeneration = states.newest(attempt.call.jobId);
      }
      if (!isExpired(attempt)) return true;
      skip(attempt, "EXPIRED");
      return false;
    },
    move(attempt, kind) {
      // What lies in a lane already has its room, and keeps it in the other one.
      if (!attempt.lane && !deps.mayFill(attempt.call.origin, kind)) return skip(attempt, "BACKLOG_FULL");
      metrics.moved();
      if (attempt.number === 1 && !attempt.moved && !attempt.redrive) tellWait(attempt);
      deps.lanes.add(attempt, kind, settle(attempt));
    },
    outlive(attempt) {
      // In a lane its message is in nobody's way, and is the record of who runs it.
      if (attempt.lane === undefined) deps.running.add(attempt);
    },
    ended(attempt, end) {
      const { call, number } = attempt;
      const { outcome, sentAtMs, durationMs } = end;
      const numberInSet = number - (attempt.redrive?.attemptsBefore ?? 0);
      metrics.attempt(outcome, durationMs / 1000);
      if (number === 1) metrics.lateness(Math.max(0, sentAtMs / 1000 - attempt.second));
      if (outcome.kind === "success") {
        results.add(resultOf(attempt, end, true), attempt.settlement);
      } else if (numberInSet < call.maxAttempts) {
        const nowMs = clock.nowMs();
        const waitMs = retryWaitMs(call, numberInSet, deps.random, outcome.retryAfterMs);
        const result = { ...resultOf(attempt, end, false), retryAtMs: nowMs + waitMs };
        if (!retryRoom.mayWait(call.origin, waitMs)) return dieUnretried(attempt, result);
        retryRoom.note(call.origin, call.entry.length, nowMs, nowMs + waitMs);
        // The retry first: what is recorded tells a redelivery that the retry is safe.
        retries.add(attempt, nowMs + waitMs, (answer) => {
          if (answer === "full") dieUnretried(attempt, result);
          else settleWith(attempt, result)(answer === "stored");
        });
      } else {
        die(attempt, resultOf(attempt, end, true));
      }
    },
  };
}
