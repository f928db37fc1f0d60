import { failure, type Outcome } from "../../domain/delivery/outcome.ts";
import type { Attempt } from "./attempt.ts";

/** Whether somebody answered for the target, if only to refuse. What ends for want of an answer took its time. */
export function wasAnswered(outcome: Outcome): boolean {
  return outcome.kind === "success" || (outcome.reason !== "TIMEOUT" && outcome.reason !== "DNS_ERROR");
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
