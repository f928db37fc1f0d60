import { writeJobEvent } from "../../wire/job-event.ts";
import { type JobRow, storedState } from "../store/contract.ts";

/** The serialised JobEvent of a row. `epoch` is that of the stream it goes to. */
export function encodeJobEvent(row: JobRow, epoch: number): Uint8Array {
  const deleted = row.state === storedState.deleted;
  return writeJobEvent({
    jobId: row.jobId,
    generation: row.generation,
    deleted,
    job: deleted ? undefined : row.job,
    timingGeneration: row.timingGeneration,
    effectiveFromMs: row.effectiveFromMs,
    timingSequence: timingSequenceIn(row, epoch),
  });
}

/**
 * 0: this event is the first with its timing. A sequence of an earlier stream
 * means nothing in this one; 1 says that the timing is long settled.
 */
function timingSequenceIn(row: JobRow, epoch: number): number {
  if (row.timingSequence === 0) return 0;
  return row.timingEpoch === epoch ? row.timingSequence : 1;
}
