import { failure, type Outcome } from "../../domain/delivery/outcome.ts";
import type { Attempt } from "./attempt.ts";

export function isTimeout(outcome: Outcome): boolean {
  return outcome.kind === "failure" && outcome.reason === "TIMEOUT";
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
