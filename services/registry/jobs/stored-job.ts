import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { TimestampSchema, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type Job, JobSchema, JobState } from "../../../gen/carillon/v1/job_pb.ts";
import { secondOf } from "../../platform/process/clock.ts";
import { scheduleOf, secondNotBefore } from "../../wire/job-schedule.ts";
import { type JobRow, type StoredState, storedState } from "../store/contract.ts";
import { earlierTimings } from "./earlier-timings.ts";

/**
 * A job as the registry handles it: its row, with the definition decoded.
 * Messages are plain objects, and never changed once made: copies are shallow
 * (clone() reflects over each field, at ten times the cost).
 */
export interface StoredJob extends Omit<JobRow, "job"> {
  job: Job;
}

export function decodeRow(row: JobRow): StoredJob {
  return { ...row, job: fromBinary(JobSchema, row.job) };
}

export function encodeRow(stored: StoredJob): JobRow {
  return { ...stored, job: toBinary(JobSchema, stored.job) };
}

/** The first generation of a job, made of its definition. */
export function newJob(jobId: string, definition: Job, nowMs: number): StoredJob {
  const now = timestampFromMs(nowMs);
  const job = { ...definition, jobId, createdAt: now, updatedAt: now, generation: 1, state: JobState.ACTIVE };
  return {
    jobId,
    generation: 1,
    state: storedState.active,
    timingGeneration: 1,
    effectiveFromMs: nowMs,
    timingSequence: 0,
    timingEdition: 0,
    earlier: [],
    pausedGeneration: 0,
    lastSecond: lastSecondOf(job),
    ended: false,
    job,
  };
}

export interface Change {
  /** The new definition; left out when it stays. */
  definition?: Job;
  /** The new state; left out when it stays. */
  state?: StoredState;
  /** Whether what is due changes. */
  retimed: boolean;
  nowMs: number;
}

/** The next generation of a job. */
export function changedJob(stored: StoredJob, change: Change): StoredJob {
  const generation = stored.generation + 1;
  const state = change.state ?? stored.state;
  const job: Job = {
    ...(change.definition ?? stored.job),
    jobId: stored.jobId,
    updatedAt: timestampFromMs(change.nowMs),
    generation,
    state: state === storedState.paused ? JobState.PAUSED : JobState.ACTIVE,
  };
  if (stored.job.createdAt) job.createdAt = stored.job.createdAt;
  const timing = change.retimed
    ? {
        timingGeneration: generation,
        effectiveFromMs: change.nowMs,
        timingSequence: 0,
        timingEdition: 0,
        earlier: state === storedState.active ? earlierTimings(stored, change.nowMs) : [],
        lastSecond: lastSecondOf(job),
        // Otherwise it stays ended: nobody has to know what it would call.
        ended: false,
      }
    : {};
  const paused = change.state === storedState.paused ? { pausedGeneration: generation } : {};
  return { ...stored, ...timing, ...paused, generation, state, job };
}

/** Undefined when it has no last one, as far as is told without walking the calendar. */
function lastSecondOf(job: Job): number | undefined {
  if (job.endTime) return secondNotBefore(job.endTime) - 1;
  if (!job.schedule.trimStart().startsWith("@")) return undefined;
  const parsed = scheduleOf(job);
  return parsed.ok && parsed.schedule.kind === "once" ? parsed.schedule.nextAfter(-1) : undefined;
}

/** A row that others know in a newer state, as it is to count from now on. */
export function restoredRow(row: JobRow, generation: number, nowMs: number): JobRow {
  const before = { ...decodeRow(row), generation: generation - 1, earlier: [] };
  const { state } = row;
  return { ...encodeRow(changedJob(before, { state, retimed: true, nowMs })), earlier: [] };
}

/** The job as a client sees it: with what follows from the time of asking. */
export function viewOf({ job: stored, jobId, generation, state }: StoredJob, nowMs: number): Job {
  const job: Job = { ...stored, etag: etagOf(jobId, generation) };
  const parsed = scheduleOf(stored);
  const next = parsed.ok ? parsed.schedule.nextAfter(secondOf(nowMs)) : undefined;
  // Paused or not: a job that is over would not go on by being resumed.
  if (next === undefined) job.state = JobState.COMPLETED;
  else if (state === storedState.active) job.nextRunTime = create(TimestampSchema, { seconds: BigInt(next) });
  return job;
}

/**
 * What a job would be if a call were made that only looked at itself (AIP-163). There is no promise of an id, nor of an
 * etag: somebody else may be faster.
 */
export function validatedView(step: { kind: string; stored: StoredJob }, nowMs: number): Job {
  const job = viewOf(step.stored, nowMs);
  if (step.kind === "created") job.jobId = "";
  if (step.kind !== "kept") job.etag = "";
  return job;
}

/** Opaque to clients; changes with each change of the job. */
export function etagOf(jobId: string, generation: number): string {
  return Buffer.from(`${jobId}:${generation}`).toString("base64url");
}
