import { ExecutionStatus, ExecutionTrigger } from "../../gen/carillon/v1/execution_pb.ts";
import type { ExecutionIdParts } from "../../services/domain/identity/execution-id.ts";
import type { Position } from "../../services/domain/identity/position.ts";
import type { AttemptResult } from "../../services/wire/attempt-result.ts";
import { jobNamed } from "./job-ids.ts";

export const job = jobNamed("job");
export const otherJob = jobNamed("other");
export const noon = 1_764_000_000;

/** A first attempt that succeeded. */
export function resultOf(changes: Partial<AttemptResult> = {}): AttemptResult {
  const second = changes.second ?? noon;
  return {
    jobId: job,
    second,
    run: "",
    attempt: 1,
    status: ExecutionStatus.SUCCESS,
    final: true,
    sentAtMs: second * 1000 + 3,
    durationMs: 12,
    httpStatus: 200,
    reason: "",
    message: "",
    retryAtMs: 0,
    trigger: ExecutionTrigger.SCHEDULE,
    ...changes,
  };
}

export function failed(changes: Partial<AttemptResult> = {}): AttemptResult {
  return resultOf({
    status: ExecutionStatus.FAILED,
    httpStatus: 500,
    reason: "HTTP_STATUS",
    message: "answered 500",
    ...changes,
  });
}

export function skipped(changes: Partial<AttemptResult> = {}): AttemptResult {
  return resultOf({
    status: ExecutionStatus.SKIPPED_PAUSED,
    attempt: 0,
    httpStatus: 0,
    durationMs: 0,
    reason: "JOB_PAUSED",
    ...changes,
  });
}

/** The occurrence of a job at a second. */
export function occurrence(second = noon, jobId = job): ExecutionIdParts {
  return { jobId, kind: "occurrence", second };
}

/** A manual run, by the `run` of its position. */
export function manualRun(run: string, jobId = job): ExecutionIdParts {
  return { jobId, kind: "manual", unique: run.slice(1) };
}

/** How the execution of a result or record is asked for. */
export function partsOf({ jobId, second, run }: Position & { jobId: string }): ExecutionIdParts {
  return run === "" ? occurrence(second, jobId) : manualRun(run, jobId);
}
