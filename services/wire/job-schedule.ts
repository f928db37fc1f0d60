import type { Timestamp } from "@bufbuild/protobuf/wkt";
import type { Job } from "../../gen/carillon/v1/job_pb.ts";
import { type ParsedSchedule, parseSchedule } from "../domain/schedule/schedule.ts";
import type { EarlierTiming } from "./job-event.ts";

/**
 * When a job is due: what the registry promises and what the ticker keeps.
 * A job that is only being made has no id and creation in it; they are given then.
 */
export function scheduleOf(
  job: Job,
  jobId: string = job.jobId,
  createdSecond: number = Number(job.createdAt?.seconds ?? 0n),
): ParsedSchedule {
  return parseSchedule(job.schedule, {
    timeZone: job.timeZone,
    jobId,
    anchorSecond: createdSecond,
    startSecond: job.startTime && secondNotBefore(job.startTime),
    endSecond: job.endTime && secondNotBefore(job.endTime),
  });
}

/** When a job was due by a timing that it had before. */
export function scheduleOfEarlier(job: Job, timing: EarlierTiming): ParsedSchedule {
  return parseSchedule(timing.schedule, {
    timeZone: timing.timeZone,
    jobId: job.jobId,
    anchorSecond: Number(job.createdAt?.seconds ?? 0n),
    startSecond: timing.startSecond,
    endSecond: timing.endSecond,
  });
}

/** Whole unix seconds, rounded up: the first second that is not before the instant. */
export function secondNotBefore(instant: Timestamp): number {
  return Number(instant.seconds) + (instant.nanos > 0 ? 1 : 0);
}
