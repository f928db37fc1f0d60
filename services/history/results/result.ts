import { fromBinary } from "@bufbuild/protobuf";
import { type AttemptResult, ResultBatchSchema } from "../../../gen/carillon/v1/events_pb.ts";
import { ExecutionStatus, type ExecutionTrigger } from "../../../gen/carillon/v1/execution_pb.ts";
import { executionIdOf, manualExecutionId, parseExecutionId } from "../../domain/identity/execution-id.ts";

/** What tells the executions of a job apart, and their order: by second, then by run. */
export interface Position {
  second: number;
  /** Empty for the occurrence of that second; for a manual run the part of its id after the job, "m...". */
  run: string;
}

/** How one attempt, or the decision not to make one, ended. */
export interface Outcome {
  status: ExecutionStatus;
  /** When the request was sent; for a skip, when that was decided. */
  sentAtMs: number;
  durationMs: number;
  /** 0 when there was no answer. */
  httpStatus: number;
  reason: string;
  message: string;
}

/** One AttemptResult off the wire, checked. */
export interface Result extends Position, Outcome {
  jobId: string;
  /** From 1; 0 when `status` is a skip. */
  attempt: number;
  /** Whether it decides its execution; a skip always does. */
  final: boolean;
  trigger: ExecutionTrigger;
}

export interface ReadBatch {
  results: Result[];
  /** Why results of the batch were left out. */
  refused: string[];
}

/** Reads a serialised ResultBatch. Throws when it is none. */
export function readResultBatch(bytes: Uint8Array): ReadBatch {
  const batch: ReadBatch = { results: [], refused: [] };
  for (const wire of fromBinary(ResultBatchSchema, bytes).results) {
    const result = readResult(wire);
    if (typeof result === "string") batch.refused.push(`${wire.executionId}: ${result}`);
    else batch.results.push(result);
  }
  return batch;
}

// Beyond it a number is no second, attempt or instant that a clock could have shown (year 33658).
const greatestSecond = 1e12;
const greatestMs = greatestSecond * 1000;

function readResult(wire: AttemptResult): Result | string {
  const { jobId, status } = wire;
  const second = Number(wire.second);
  const sentAtMs = Number(wire.sentAtMs);
  if (jobId === "") return "no job id";
  if (second < 0 || second > greatestSecond) return `second ${second} is out of range`;
  if (sentAtMs < 0 || sentAtMs > greatestMs) return `instant ${sentAtMs} is out of range`;
  const run = runOf(wire.executionId, jobId, second);
  if (run === undefined) return `not an execution of job ${jobId} at ${second}`;
  const skipped = isSkip(status);
  if (!skipped && status !== ExecutionStatus.SUCCESS && status !== ExecutionStatus.FAILED) {
    return `status ${status} is no outcome`;
  }
  if (!skipped && wire.attempt === 0) return "an attempt without its number";
  return {
    jobId,
    second,
    run,
    attempt: skipped ? 0 : wire.attempt,
    status,
    final: skipped || wire.final,
    sentAtMs,
    durationMs: wire.durationMs,
    httpStatus: wire.httpStatus,
    reason: wire.reason,
    message: wire.message,
    trigger: wire.trigger,
  };
}

function runOf(executionId: string, jobId: string, second: number): string | undefined {
  if (executionId === executionIdOf(jobId, second)) return "";
  const parts = parseExecutionId(executionId);
  return parts?.kind === "manual" && parts.jobId === jobId ? runOfManual(parts.unique) : undefined;
}

/** The `run` of a manual run's position. */
export function runOfManual(unique: string): string {
  return `m${unique}`;
}

/** The id of the execution at a position; the opposite of taking one apart. */
export function executionIdAt(jobId: string, { second, run }: Position): string {
  return run === "" ? executionIdOf(jobId, second) : manualExecutionId(jobId, run.slice(1));
}

/** Whether an execution that ended so was never fired. */
export function isSkip(status: ExecutionStatus): boolean {
  switch (status) {
    case ExecutionStatus.SKIPPED_OVERLAP:
    case ExecutionStatus.SKIPPED_MISFIRE:
    case ExecutionStatus.SKIPPED_PAUSED:
    case ExecutionStatus.SKIPPED_EXPIRED:
    case ExecutionStatus.SKIPPED_SUPERSEDED:
      return true;
    default:
      return false;
  }
}
