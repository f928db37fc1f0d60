import type { Random } from "../../platform/process/clock.ts";
import type { Attempt } from "./attempt.ts";
import { createTraceIds } from "./trace-ids.ts";

/** Makes ready what differs from one call of a job to the next, at the last moment. What all of them share is in their Call. */
export interface Preparation {
  /** Names and values in turn. Asked again for a request that goes out again. */
  headersOf(attempt: Attempt): string[];
}

export function createPreparation(random: Random): Preparation {
  const traceParent = createTraceIds(random);
  let knownSecond = Number.NaN;
  let knownText = "";
  /** RFC 3339, UTC. */
  const textOf = (second: number) => {
    // All of one second ask one after the other.
    if (second !== knownSecond) {
      knownSecond = second;
      knownText = new Date(second * 1000).toISOString().replace(".000Z", "Z");
    }
    return knownText;
  };
  return {
    headersOf: ({ call, executionId, second, number }) => [
      ...call.headers,
      "Idempotency-Key",
      executionId,
      "Carillon-Execution-Id",
      executionId,
      "Carillon-Scheduled-Time",
      textOf(second),
      "Carillon-Attempt",
      number === 1 ? "1" : String(number),
      "traceparent",
      traceParent(),
    ],
  };
}
