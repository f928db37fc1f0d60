import type { Job } from "../../../gen/carillon/v1/job_pb.ts";

/** Whether two definitions are due at the same times; the texts count, not what they amount to. */
export function sameTiming(a: Job, b: Job): boolean {
  return (
    a.schedule === b.schedule &&
    a.timeZone === b.timeZone &&
    a.startTime?.seconds === b.startTime?.seconds &&
    a.endTime?.seconds === b.endTime?.seconds
  );
}
