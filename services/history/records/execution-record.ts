import { ExecutionStatus, type ExecutionTrigger } from "../../../gen/carillon/v1/execution_pb.ts";
import type { Position } from "../../domain/identity/position.ts";
import { type AttemptResult, type Ending, isSkip, isWait } from "../../wire/attempt-result.ts";

export interface AttemptRecord extends Ending {
  /** From 1. */
  attempt: number;
  /** When the next attempt was due, unix milliseconds; 0 when there was to be none. */
  retryAtMs: number;
}

/** What is known of one execution. Its ending is that of the attempt or skip that decided it, or of its last attempt so far. */
export interface ExecutionRecord extends Position, Ending {
  jobId: string;
  trigger: ExecutionTrigger;
  /** The attempt that decided it, by the rules below. 0 when none has, because it waits or a skip ended it. */
  decidedBy: number;
  /** By number, ascending. */
  attempts: readonly AttemptRecord[];
}

/*
 * Executors deliver at least once: the same attempt may be made twice and end
 * differently, results come again, and those of two executors in any order.
 * These rules make one record of them:
 *
 * - The first final SUCCESS decides the execution for good, whatever comes later:
 *   what was read once does not change. So does the first final FAILED, but for a
 *   final attempt of a higher number: the execution was redriven. Until that comes
 *   it stays FAILED as it was, with the new attempts beside the old ones.
 * - A skip decides only what no attempt has decided; the first of several stays.
 *   A final attempt that comes after it wins: the call was made.
 * - A skip beside attempts took the place of a retry: the execution is FAILED as
 *   its highest attempt was, with a note of why no other followed, and decidedBy
 *   is 0. SKIPPED_SUPERSEDED is the exception: an executor says it only before the
 *   first call of an occurrence, so that the attempts beside it are those of a
 *   newer timing.
 * - Of an attempt number the first record stays, unless a later one decides.
 * - While nothing has decided it the execution waits for its retry: RETRYING, with
 *   the ending of its highest attempt. So does one of which nothing is known but that
 *   its first attempt has to wait; that is news only when nothing else is known.
 */

/** The record that a result begins. */
export function begin(result: AttemptResult): ExecutionRecord {
  const { jobId, second, run, trigger } = result;
  const attempts = result.attempt === 0 ? [] : [attemptOf(result)];
  const decidedBy = result.final ? result.attempt : 0;
  const status = result.final ? result.status : ExecutionStatus.RETRYING;
  return { jobId, second, run, trigger, decidedBy, attempts, ...endingOf(result), status };
}

/** The record with one more result in it; undefined when the result changes nothing. */
export function amend(record: ExecutionRecord, result: AttemptResult): ExecutionRecord | undefined {
  if (isWait(result.status)) return undefined;
  if (isSkip(result.status)) return amendWithSkip(record, result);
  const known = record.attempts.some((attempt) => attempt.attempt === result.attempt);
  const decides = result.final && (record.decidedBy === 0 || isRedriven(record, result));
  if (known && !decides) return undefined;
  const attempts = record.attempts
    .filter((attempt) => attempt.attempt !== result.attempt)
    .concat(attemptOf(result))
    .sort((a, b) => a.attempt - b.attempt);
  if (decides) return { ...record, ...endingOf(result), attempts, decidedBy: result.attempt };
  const note = noteOf(record);
  if (note !== undefined) return cutShort({ ...record, attempts }, note);
  if (hasEnded(record)) return { ...record, attempts };
  const latest = attempts.at(-1) ?? attemptOf(result);
  return { ...record, ...endingOf(latest), attempts, status: ExecutionStatus.RETRYING };
}

function isRedriven({ status, decidedBy }: ExecutionRecord, { attempt }: AttemptResult): boolean {
  return status === ExecutionStatus.FAILED && attempt > decidedBy;
}

function amendWithSkip(record: ExecutionRecord, skip: Ending): ExecutionRecord | undefined {
  const open = !hasEnded(record) || record.status === ExecutionStatus.SKIPPED_SUPERSEDED;
  if (open && record.attempts.length > 0 && replacesRetry(skip)) return cutShort(record, noteOfSkip(skip));
  return hasEnded(record) ? undefined : { ...record, ...endingOf(skip) };
}

function cutShort(record: ExecutionRecord, note: string): ExecutionRecord {
  const last = record.attempts.at(-1);
  if (!last) return record;
  return { ...record, ...endingOf(last), status: ExecutionStatus.FAILED, message: last.message + note };
}

/** Why no other attempt followed, when a skip is known that took its place. */
function noteOf(record: ExecutionRecord): string | undefined {
  if (record.decidedBy > 0) return undefined;
  // Cut short before: what stands after its last attempt's message is kept nowhere else.
  if (record.status === ExecutionStatus.FAILED) return record.message.slice(record.attempts.at(-1)?.message.length);
  return replacesRetry(record) ? noteOfSkip(record) : undefined;
}

function replacesRetry({ status }: Ending): boolean {
  return isSkip(status) && status !== ExecutionStatus.SKIPPED_SUPERSEDED;
}

function noteOfSkip({ reason, message }: Ending): string {
  switch (reason) {
    case "JOB_PAUSED":
      return "; not tried again, because the job was paused";
    case "JOB_DELETED":
      return "; not tried again, because the job was deleted";
    default:
      return `; not tried again: ${message}`;
  }
}

/** Whether the execution has ended, one way or the other. */
export function hasEnded(record: { status: ExecutionStatus }): boolean {
  return record.status !== ExecutionStatus.RETRYING;
}

/**
 * Whether the first call of an execution may still be owed, though it has a record. A skip because its job was changed or
 * paused says that one timing does not owe it any more; the timing that came with a later change may have the same
 * second. That it waits is told beside what keeps it, which may be lost.
 */
export function mayBeCalled({ status, attemptCount }: { status: ExecutionStatus; attemptCount: number }): boolean {
  const leftToOthers = status === ExecutionStatus.SKIPPED_SUPERSEDED || status === ExecutionStatus.SKIPPED_PAUSED;
  return attemptCount === 0 && (leftToOthers || !hasEnded({ status }));
}

function attemptOf(result: AttemptResult): AttemptRecord {
  return { attempt: result.attempt, retryAtMs: result.retryAtMs, ...endingOf(result) };
}

function endingOf({ status, sentAtMs, durationMs, httpStatus, reason, message }: Ending): Ending {
  return { status, sentAtMs, durationMs, httpStatus, reason, message };
}
