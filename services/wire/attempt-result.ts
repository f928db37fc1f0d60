import { ExecutionStatus, type ExecutionTrigger } from "../../gen/carillon/v1/execution_pb.ts";
import { isJobId } from "../domain/identity/job-id.ts";
import { type Position, runOf } from "../domain/identity/position.ts";
import { isInstant, isSecond } from "./ranges.ts";

/** How one attempt ended, or what took its place: a skip, or that it has to wait. */
export interface Ending {
  status: ExecutionStatus;
  /** When the request was sent; for a skip, when the verdict was given; for a wait, since when. Unix milliseconds. */
  sentAtMs: number;
  durationMs: number;
  /** 0 when there was no answer. */
  httpStatus: number;
  reason: string;
  message: string;
}

/** What history is told: an attempt that ended, a skip, or that the first attempt has to wait (RUNNING). */
export interface AttemptResult extends Position, Ending {
  jobId: string;
  /** From 1; 0 when `status` is a skip or a wait. */
  attempt: number;
  /** Whether it decides its execution; a skip always does, a wait never. */
  final: boolean;
  trigger: ExecutionTrigger;
  /** When the next attempt is due, unix milliseconds; 0 but for a failed one that is not final. */
  retryAtMs: number;
}

/** That the first attempt of an execution has to wait, since when, and for what. */
export function waitResult(
  wait: Pick<AttemptResult, "jobId" | "second" | "run" | "trigger" | "message"> & { sinceMs: number },
): AttemptResult {
  const { sinceMs, ...fields } = wait;
  return {
    ...fields,
    attempt: 0,
    status: ExecutionStatus.RUNNING,
    final: false,
    sentAtMs: sinceMs,
    durationMs: 0,
    httpStatus: 0,
    reason: "",
    retryAtMs: 0,
  };
}

/** The fields of an AttemptResult as they stand in the message, where an id tells the run. */
export type ResultFields = Omit<AttemptResult, "run"> & { executionId: string };

/**
 * The result that the fields amount to, or why they are none. A NUL, which no text column of PostgreSQL
 * takes, is replaced: the result counts for more than the letter.
 */
export function checkedResult(fields: ResultFields): AttemptResult | string {
  const { executionId, jobId, second, status, sentAtMs } = fields;
  if (!isJobId(jobId)) return `"${jobId}" is no job id`;
  if (!isSecond(second)) return `second ${second} is out of range`;
  if (!isInstant(sentAtMs)) return `instant ${sentAtMs} is out of range`;
  const run = runOf(executionId, jobId, second);
  if (run === undefined) return `not an execution of job ${jobId} at ${second}`;
  const skipped = isSkip(status);
  const waits = isWait(status);
  if (!skipped && !waits && status !== ExecutionStatus.SUCCESS && status !== ExecutionStatus.FAILED) {
    return `no attempt ends with status ${status}`;
  }
  if (!skipped && !waits && fields.attempt === 0) return "an attempt without its number";
  // Left out rather than the whole result: what it was for is to be shown, no more.
  const isRetried = isInstant(fields.retryAtMs) && status === ExecutionStatus.FAILED && !fields.final;
  return {
    jobId,
    second,
    run,
    attempt: skipped || waits ? 0 : fields.attempt,
    status,
    final: skipped || (fields.final && !waits),
    sentAtMs,
    durationMs: fields.durationMs,
    httpStatus: fields.httpStatus,
    reason: withoutNul(fields.reason),
    message: withoutNul(fields.message),
    trigger: fields.trigger,
    retryAtMs: isRetried ? fields.retryAtMs : 0,
  };
}

function withoutNul(text: string): string {
  return text !== "" && text.includes("\0") ? text.replaceAll("\0", "\ufffd") : text;
}

/** Whether it says that an attempt has to wait, and not how one ended. */
export function isWait(status: ExecutionStatus): boolean {
  return status === ExecutionStatus.RUNNING;
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
