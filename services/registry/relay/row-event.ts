import { writeJobEvent } from "../../wire/job-event.ts";
import { type JobRow, storedState } from "../store/contract.ts";

/** The serialised JobEvent of a row. `edition` is that of the stream it goes to. */
export function encodeRowEvent(row: JobRow, edition: number): Uint8Array {
  const deleted = row.state === storedState.deleted;
  return writeJobEvent({
    jobId: row.jobId,
    generation: row.generation,
    deleted,
    job: deleted || row.ended ? undefined : row.job,
    timingGeneration: row.timingGeneration,
    effectiveFromMs: row.effectiveFromMs,
    timingSequence: timingSequenceIn(row, edition),
    earlier: row.earlier.map((timing) => ({ ...timing, timingSequence: timingSequenceIn(timing, edition) })),
    pausedGeneration: row.pausedGeneration,
    ended: row.ended && !deleted,
  });
}

/**
 * 0: this event is the first with its timing, or nobody knows which one was. 1: an earlier stream had the
 * timing; its sequence means nothing here.
 */
function timingSequenceIn(row: Pick<JobRow, "timingSequence" | "timingEdition">, edition: number): number {
  if (row.timingSequence === 0) return 0;
  return row.timingEdition === edition ? row.timingSequence : 1;
}
