import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  AttemptSchema,
  type Execution,
  ExecutionSchema,
  ExecutionStatus,
} from "../../../gen/carillon/v1/execution_pb.ts";
import { executionIdAt } from "../../domain/identity/position.ts";
import type { Ending } from "../../wire/attempt-result.ts";
import type { RunningCall } from "../../wire/running-calls.ts";
import { type AttemptRecord, type ExecutionRecord, hasEnded } from "../records/execution-record.ts";

/** A record as the API shows it. */
export function toExecution(record: ExecutionRecord): Execution {
  const waits = !hasEnded(record);
  const retryAtMs = waits ? (record.attempts.at(-1)?.retryAtMs ?? 0) : 0;
  return create(ExecutionSchema, {
    executionId: executionIdAt(record.jobId, record),
    jobId: record.jobId,
    ...endingFields(record),
    // No call of it was made yet.
    ...(waits && record.attempts.length === 0 && { status: ExecutionStatus.RUNNING }),
    ...(retryAtMs > 0 && { nextAttemptTime: timestampFromMs(retryAtMs) }),
    scheduledTime: timestampFromMs(record.second * 1000),
    // Attempts may be recorded out of order: the highest number tells how many were made.
    attemptCount: record.attempts.at(-1)?.attempt ?? 0,
    attempts: record.attempts.map(toAttempt),
    trigger: record.trigger,
  });
}

/** An execution with a call on the wire; the record is of what was before that, if there is one. */
export function toRunning(record: ExecutionRecord | undefined, call: RunningCall, nowMs: number): Execution {
  const running = {
    status: ExecutionStatus.RUNNING,
    timestamp: timestampFromMs(call.sentAtMs),
    // By two clocks.
    durationMs: Math.min(Math.max(0, nowMs - call.sentAtMs), mostDurationMs),
  };
  return create(ExecutionSchema, {
    executionId: executionIdAt(call.jobId, call),
    jobId: call.jobId,
    ...running,
    scheduledTime: timestampFromMs(call.second * 1000),
    attemptCount: call.attempt,
    attempts: [
      ...(record?.attempts.map(toAttempt) ?? []),
      create(AttemptSchema, { attempt: call.attempt, ...running }),
    ],
    trigger: call.trigger,
  });
}

const mostDurationMs = 2 ** 31 - 1;

// Tags, lengths, timestamps and numbers of either, each at its longest.
const fixedBytes = 112;

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
