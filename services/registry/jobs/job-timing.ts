import type { Job } from "../../../gen/carillon/v1/job_pb.ts";
import { type ParsedSchedule, parseSchedule } from "../../domain/schedule/schedule.ts";
import { secondNotBefore } from "./job-definition.ts";

/** The schedule of a job whose defaults are filled in. */
export function scheduleOf(job: Job, jobId: string, createdSecond: number): ParsedSchedule {
  return parseSchedule(job.schedule, {
    timeZone: job.timeZone,
    jobId,
    anchorSecond: createdSecond,
    startSecond: job.startTime && secondNotBefore(job.startTime),
    endSecond: job.endTime && secondNotBefore(job.endTime),
  });
}

/** Whether two definitions are due at the same times; the texts count, not what they amount to. */
export function sameTiming(a: Job, b: Job): boolean {
  return (
    a.schedule === b.schedule &&
    a.timeZone === b.timeZone &&
    a.startTime?.seconds === b.startTime?.seconds &&
    a.endTime?.seconds === b.endTime?.seconds
  );
}
