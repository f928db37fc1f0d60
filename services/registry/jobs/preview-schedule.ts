import { create } from "@bufbuild/protobuf";
import { TimestampSchema } from "@bufbuild/protobuf/wkt";
import {
  type PreviewScheduleRequest,
  type PreviewScheduleResponse,
  PreviewScheduleResponseSchema,
} from "../../../gen/carillon/v1/job_pb.ts";
import { parseSchedule, previewOccurrences } from "../../domain/schedule/schedule.ts";
import { type Clock, secondOf } from "../../platform/process/clock.ts";
import { invalidJob } from "./refusals.ts";

const defaultCount = 5;

/**
 * When a schedule would be due, for a job that is created at `after`: `@every`
 * counts from there, and `H` stands for a sample, since each job has its own.
 */
export function previewSchedule(request: PreviewScheduleRequest, clock: Clock): PreviewScheduleResponse {
  const { schedule, timeZone, after, count } = request;
  const afterSecond = after ? Number(after.seconds) : secondOf(clock.nowMs());
  const parsed = parseSchedule(schedule, { timeZone, jobId: "", anchorSecond: afterSecond });
  if (!parsed.ok) {
    const reason = parsed.field === "time_zone" ? "TIME_ZONE_INVALID" : "SCHEDULE_INVALID";
    throw invalidJob([{ field: parsed.field, description: parsed.reason, reason }]);
  }
  const seconds = previewOccurrences(parsed.schedule, afterSecond, count || defaultCount);
  return create(PreviewScheduleResponseSchema, {
    occurrences: seconds.map((second) => create(TimestampSchema, { seconds: BigInt(second) })),
  });
}
