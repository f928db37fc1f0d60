import { ExecutionStatus, type ExecutionTrigger } from "../../gen/carillon/v1/execution_pb.ts";
import { isJobId } from "../domain/identity/job-id.ts";
import { type Position, runOf } from "../domain/identity/position.ts";
import { isInstant, isSecond } from "./ranges.ts";

/** How one attempt ended, or what took its place: a skip. */
export interface Ending {
  status: ExecutionStatus;
  /** When the request was sent; for a skip, when the verdict was given. Unix milliseconds. */
  sentAtMs: number;
  durationMs: number;
  /** 0 when there was no answer. */
  httpStatus: number;
  reason: string;
  message: string;
}

/** What an executor tells history: an attempt that ended, or a skip. */
export interface AttemptResult extends Position, Ending {
  jobId: string;
  /** From 1; 0 when `status` is a skip. */
  attempt: number;
  /** Whether it decides its execution; a skip always does. */
  final: boolean;
  trigger: ExecutionTrigger;
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
  if (!skipped && status !== ExecutionStatus.SUCCESS && status !== ExecutionStatus.FAILED) {
    return `no attempt ends with status ${status}`;
  }
  if (!skipped && fields.attempt === 0) return "an attempt without its number";
  return {
    jobId,
    second,
    run,
    attempt: skipped ? 0 : fields.attempt,
    status,
    final: skipped || fields.final,
    sentAtMs,
    durationMs: fields.durationMs,
    httpStatus: fields.httpStatus,
    reason: withoutNul(fields.reason),
    message: withoutNul(fields.message),
    trigger: fields.trigger,
  };
}

function withoutNul(text: string): string {
  return text !== "" && text.includes("\0") ? text.replaceAll("\0", "\ufffd") : text;
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
