import { failure, type Outcome } from "../../domain/delivery/outcome.ts";
import type { Exchange } from "./exchange.ts";
import type { Ending } from "./origin.ts";

/**
 * What the end of a call says of its target. What ends for want of an answer took its time; an answer that had to be cut
 * off costs its connection, as a failure does, whatever its status.
 */
export function endingOf({ overlong }: Exchange, outcome: Outcome): Ending {
  if (overlong) return "failed";
  if (outcome.kind === "success") return "succeeded";
  if (outcome.reason === "TIMEOUT" || outcome.reason === "DNS_ERROR") return "unanswered";
  return outcome.httpStatus === 0 ? "refused" : "failed";
}

/** The outcome of a call whose deadline has passed. */
export function timeoutOf(exchange: Exchange): Outcome {
  const { timeoutMs } = exchange.call;
  const status = exchange.answeredStatus();
  return failure(
    "TIMEOUT",
    status === 0
      ? `no answer within ${timeoutMs} ms`
      : `the answer (status ${status}) did not end within ${timeoutMs} ms`,
  );
}
