import { failure, type Outcome } from "../../domain/delivery/outcome.ts";
import type { Attempt } from "./attempt.ts";
import type { Ending } from "./origin.ts";

/** What an outcome says of its target. What ends for want of an answer took its time; undefined was cut off. */
export function endingOf(outcome: Outcome | undefined): Ending {
  if (!outcome) return "unanswered";
  if (outcome.kind === "success") return "succeeded";
  if (outcome.reason === "TIMEOUT" || outcome.reason === "DNS_ERROR") return "unanswered";
  return outcome.httpStatus === 0 ? "refused" : "failed";
}

/** The outcome of an attempt whose deadline has passed. */
export function timeoutOf(attempt: Attempt): Outcome {
  const { timeoutMs } = attempt.call;
  const status = attempt.answeredStatus();
  return failure(
    "TIMEOUT",
    status === 0
      ? `no answer within ${timeoutMs} ms`
      : `the answer (status ${status}) did not end within ${timeoutMs} ms`,
  );
}
