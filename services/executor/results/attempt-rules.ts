import { ExecutionStatus } from "../../../gen/carillon/v1/execution_pb.ts";
import { retryWaitMs } from "../../domain/delivery/backoff.ts";
import type { Outcome } from "../../domain/delivery/outcome.ts";
import type { SkipReason } from "../../domain/delivery/skip-reason.ts";
import type { Clock, Random } from "../../platform/process/clock.ts";
import type { AttemptResult } from "../../wire/attempt-result.ts";
import type { Attempt } from "../calls/attempt.ts";
import type { ExecutorMetrics } from "../executor-metrics.ts";
import type { JobStates } from "../verdict/job-states.ts";
import type { DeadLetters } from "./dead-letters.ts";
import type { ResultPublisher } from "./result-publisher.ts";
import type { RetryPublisher } from "./retry-publisher.ts";

/** What happens around each attempt: whether its call is made, and what becomes of it. */
export interface AttemptRules {
  /** False when the job's newest state forbids the call: its skip is recorded then. */
  admit(attempt: Attempt): boolean;
  ended(attempt: Attempt, outcome: Outcome): void;
  /** Moves an attempt that was not made to the RETRY lane: its target keeps it waiting too long. */
  park(attempt: Attempt): void;
}

// A parked attempt waits half of its lateness, so that a target that stays away for hours
// costs little.
const parkedOfLateness = 0.5;
const shortestParkedMs = 5_000;
const longestParkedMs = 10 * 60_000;

const skipMessages: Readonly<Record<SkipReason, string>> = {
  JOB_PAUSED: "the job was paused before it started",
  JOB_DELETED: "the job was deleted before it started",
  JOB_CHANGED: "the schedule was changed before it started",
};

export function createAttemptRules(deps: {
  clock: Clock;
  random: Random;
  states: JobStates;
  results: ResultPublisher;
  retries: RetryPublisher;
  dead: DeadLetters;
  metrics: ExecutorMetrics;
}): AttemptRules {
  const { clock, states, results, retries, metrics } = deps;

  const skip = (attempt: Attempt, reason: SkipReason) => {
    metrics.skipped();
    const status = reason === "JOB_CHANGED" ? ExecutionStatus.SKIPPED_SUPERSEDED : ExecutionStatus.SKIPPED_PAUSED;
    const result: AttemptResult = {
      jobId: attempt.call.jobId,
      second: attempt.second,
      run: attempt.call.run,
      attempt: 0,
      status,
      final: true,
      sentAtMs: clock.nowMs(),
      durationMs: 0,
      httpStatus: 0,
      reason,
      message: skipMessages[reason],
      trigger: attempt.call.trigger,
    };
    results.add(result, attempt.settlement);
  };

  const resultOf = (attempt: Attempt, outcome: Outcome, final: boolean): AttemptResult => {
    const failed = outcome.kind === "failure";
    return {
      jobId: attempt.call.jobId,
      second: attempt.second,
      run: attempt.call.run,
      attempt: attempt.number,
      status: failed ? ExecutionStatus.FAILED : ExecutionStatus.SUCCESS,
      final,
      sentAtMs: attempt.sentAtMs,
      durationMs: attempt.durationMs,
      httpStatus: outcome.httpStatus,
      reason: failed ? outcome.reason : "",
      message: failed ? outcome.message : "",
      trigger: attempt.call.trigger,
    };
  };

  const settleWith = (attempt: Attempt, result: AttemptResult) => (stored: boolean) => {
    if (stored) results.add(result, attempt.settlement);
    else attempt.settlement.refused();
  };

  return {
    admit(attempt) {
      if (states.empty()) return true;
      const verdict = states.judge({ call: attempt.call, second: attempt.second, started: attempt.number > 1 });
      switch (verdict.kind) {
        case "fire":
          attempt.call = verdict.call;
          return true;
        case "skip":
          skip(attempt, verdict.reason);
          return false;
      }
    },
    park(attempt) {
      metrics.parked();
      const nowMs = clock.nowMs();
      const latenessMs = nowMs - attempt.second * 1000;
      const waitMs = Math.min(Math.max(latenessMs * parkedOfLateness, shortestParkedMs), longestParkedMs);
      retries.park(attempt, Math.round(nowMs + waitMs), (stored) => {
        if (stored) attempt.settlement.done();
        else attempt.settlement.refused();
      });
    },
    ended(attempt, outcome) {
      const { call, number } = attempt;
      metrics.attempt(outcome, attempt.durationMs / 1000);
      if (number === 1) metrics.lateness(Math.max(0, attempt.sentAtMs / 1000 - attempt.second));
      if (outcome.kind === "success") {
        results.add(resultOf(attempt, outcome, true), attempt.settlement);
      } else if (number < call.maxAttempts) {
        const waitMs = retryWaitMs(call, number, deps.random, outcome.retryAfterMs);
        // The retry first: what is recorded tells a redelivery that the retry is safe.
        retries.add(attempt, clock.nowMs() + waitMs, settleWith(attempt, resultOf(attempt, outcome, false)));
      } else {
        const result = resultOf(attempt, outcome, true);
        deps.dead.publish(attempt, result, settleWith(attempt, result));
      }
    },
  };
}
