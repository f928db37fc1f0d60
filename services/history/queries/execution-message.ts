import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { AttemptSchema, type Execution, ExecutionSchema } from "../../../gen/carillon/v1/execution_pb.ts";
import { executionIdAt } from "../../domain/identity/position.ts";
import type { Ending } from "../../wire/attempt-result.ts";
import type { AttemptRecord, ExecutionRecord } from "../records/execution-record.ts";

/** A record as the API shows it. */
export function toExecution(record: ExecutionRecord): Execution {
  return create(ExecutionSchema, {
    executionId: executionIdAt(record.jobId, record),
    jobId: record.jobId,
    ...endingFields(record),
    scheduledTime: timestampFromMs(record.second * 1000),
    // Attempts may be recorded out of order: the highest number tells how many were made.
    attemptCount: record.attempts.at(-1)?.attempt ?? 0,
    attempts: record.attempts.map(toAttempt),
    trigger: record.trigger,
  });
}

// Tags, lengths, timestamps and numbers of either, each at its longest.
const fixedBytes = 96;

/** What an execution takes at most in an answer: without its text only numbers vary. */
export function mostBytesOf({ executionId, jobId, reason, message, attempts }: Execution): number {
  let bytes = fixedBytes + executionId.length + jobId.length + textBytes(reason, message);
  for (const attempt of attempts) bytes += fixedBytes + textBytes(attempt.reason, attempt.message);
  return bytes;
}

function textBytes(reason: string, message: string): number {
  return Buffer.byteLength(reason) + Buffer.byteLength(message);
}

function toAttempt(attempt: AttemptRecord): MessageInitShape<typeof AttemptSchema> {
  return create(AttemptSchema, { attempt: attempt.attempt, ...endingFields(attempt) });
}

function endingFields({ status, sentAtMs, durationMs, httpStatus, reason, message }: Ending) {
  return {
    status,
    timestamp: timestampFromMs(sentAtMs),
    durationMs,
    ...(httpStatus > 0 && { httpStatus }),
    reason,
    message,
  };
}
