import { fromBinary } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { JobEventSchema } from "../../../gen/carillon/v1/events_pb.ts";
import { JobState } from "../../../gen/carillon/v1/job_pb.ts";
import { parseSchedule } from "../../domain/schedule/schedule.ts";
import { encodeDueEntry } from "../../wire/due.ts";
import type { JobChange } from "../core/model.ts";

export type ReadJobChange = { ok: true; change: JobChange } | { ok: false; jobId: string; reason: string };

/**
 * What a message of JOBS means for the timetable. Never throws: whatever it holds, the ticker goes on.
 * `keep` is where the entry is to live.
 */
export function readJobChange(
  data: Uint8Array,
  sequence: number,
  keep: (entry: Uint8Array) => Uint8Array = (entry) => entry,
): ReadJobChange {
  try {
    return read(data, sequence, keep);
  } catch (error) {
    return { ok: false, jobId: "", reason: error instanceof Error ? error.message : String(error) };
  }
}

function read(data: Uint8Array, sequence: number, keep: (entry: Uint8Array) => Uint8Array): ReadJobChange {
  const event = fromBinary(JobEventSchema, data);
  const { jobId, job } = event;
  if (event.deleted || job?.state === JobState.PAUSED) return { ok: true, change: { kind: "gone", jobId } };
  if (!job) return { ok: false, jobId, reason: "the event has no job" };
  const parsed = parseSchedule(job.schedule, {
    timeZone: job.timeZone,
    jobId,
    anchorSecond: Number(job.createdAt?.seconds ?? 0n),
    startSecond: secondNotBefore(job.startTime),
    endSecond: secondNotBefore(job.endTime),
  });
  if (!parsed.ok) return { ok: false, jobId, reason: `${parsed.field} ${parsed.reason}` };
  const timingSequence = Number(event.timingSequence);
  return {
    ok: true,
    change: {
      kind: "active",
      jobId,
      entry: keep(encodeDueEntry(job)),
      generation: event.generation,
      timingGeneration: event.timingGeneration,
      effectiveFromMs: Number(event.effectiveFromMs),
      // 0: this very event. A later one than this event can only stem from a stream that is no more.
      timingSequence: timingSequence > 0 && timingSequence < sequence ? timingSequence : sequence,
      occurrences: parsed.schedule,
    },
  };
}

/** The first whole second that is not before an instant: an occurrence is never before the start or at the end. */
function secondNotBefore(timestamp: Timestamp | undefined): number | undefined {
  return timestamp && Number(timestamp.seconds) + (timestamp.nanos > 0 ? 1 : 0);
}
