import { type Job, JobState } from "../../../gen/carillon/v1/job_pb.ts";
import { dueEntryOf, writeDueEntry } from "../../wire/due-entry.ts";
import { type JobEvent, readJobEvent } from "../../wire/job-event.ts";
import { scheduleOf, scheduleOfEarlier } from "../../wire/job-schedule.ts";
import type { EarlierTiming, JobChange } from "../core/job-change.ts";

export type ReadJobChange = { ok: true; change: JobChange } | { ok: false; reason: string };

/**
 * What a message of JOBS means for the timetable. Never throws: whatever it holds, the ticker goes on.
 * `jobId` is the one of its subject; `keep` is where the entry is to live.
 */
export function readJobChange(
  jobId: string,
  data: Uint8Array,
  sequence: number,
  keep: (entry: Uint8Array) => Uint8Array = (entry) => entry,
): ReadJobChange {
  try {
    return read(jobId, data, sequence, keep);
  } catch (error) {
    return { ok: false, reason: error instanceof Error ? error.message : String(error) };
  }
}

function read(
  jobId: string,
  data: Uint8Array,
  sequence: number,
  keep: (entry: Uint8Array) => Uint8Array,
): ReadJobChange {
  const event = readJobEvent(data);
  const { job, timingSequence } = event;
  if (event.jobId !== jobId) return { ok: false, reason: `an event of ${event.jobId} on the subject of ${jobId}` };
  if (event.deleted || event.ended || job?.state === JobState.PAUSED)
    return { ok: true, change: { kind: "gone", jobId } };
  if (!job) return { ok: false, reason: "the event has no job" };
  const parsed = scheduleOf(job);
  if (!parsed.ok) return { ok: false, reason: `${parsed.field} ${parsed.reason}` };
  // 0: this very event. A later one than this event can only stem from a stream that is no more.
  const firstSequence = timingSequence > 0 && timingSequence < sequence ? timingSequence : sequence;
  return {
    ok: true,
    change: {
      kind: "active",
      jobId,
      entry: keep(writeDueEntry(dueEntryOf(job))),
      generation: event.generation,
      timingGeneration: event.timingGeneration,
      effectiveFromMs: event.effectiveFromMs,
      timingSequence: firstSequence,
      occurrences: parsed.schedule,
      earlier: event.earlier.length === 0 ? nothingEarlier : earlierOf(job, event, firstSequence),
      pausedGeneration: event.pausedGeneration,
    },
  };
}

const nothingEarlier: readonly EarlierTiming[] = [];

function earlierOf(job: Job, { earlier }: JobEvent, firstSequence: number): EarlierTiming[] {
  return earlier.flatMap((timing) => {
    const { timingGeneration, effectiveFromMs, untilMs, timingSequence } = timing;
    const parsed = scheduleOfEarlier(job, timing);
    // It was due by it once: nothing is refused today that was taken then.
    if (!parsed.ok) return [];
    // Where nobody knows its own, it was in the stream by the time of the timing after it.
    const known = timingSequence > 0 && timingSequence < firstSequence;
    const sequence = known ? timingSequence : firstSequence;
    return { timingGeneration, effectiveFromMs, untilMs, timingSequence: sequence, occurrences: parsed.schedule };
  });
}
