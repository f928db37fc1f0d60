import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { AttemptSchema, type Execution, ExecutionSchema } from "../../gen/carillon/v1/execution_pb.ts";
import type { Attempt, ExecutionRecord } from "./disposition.ts";
import { executionIdAt, type Outcome } from "./result.ts";

/** A record as the API shows it. */
export function toExecution(record: ExecutionRecord): Execution {
  return create(ExecutionSchema, {
    executionId: executionIdAt(record.jobId, record),
    jobId: record.jobId,
    ...outcomeFields(record),
    scheduledTime: timestampFromMs(record.second * 1000),
    // Attempts may be recorded out of order: the highest number tells how many were made.
    attemptCount: record.attempts.at(-1)?.attempt ?? 0,
    attempts: record.attempts.map(toAttempt),
    trigger: record.trigger,
  });
}

function toAttempt(attempt: Attempt): MessageInitShape<typeof AttemptSchema> {
  return create(AttemptSchema, { attempt: attempt.attempt, ...outcomeFields(attempt) });
}

function outcomeFields({ status, sentAtMs, durationMs, httpStatus, reason, message }: Outcome) {
  return {
    status,
    timestamp: timestampFromMs(sentAtMs),
    durationMs,
    ...(httpStatus > 0 && { httpStatus }),
    reason,
    message,
  };
}
