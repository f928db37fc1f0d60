import { create, toBinary } from "@bufbuild/protobuf";
import { JobEventSchema } from "../../../gen/carillon/v1/events_pb.ts";
import { type JobRow, storedState } from "../store/job-rows.ts";

// Field 4 of JobEvent (job), wire type 2 (length-delimited).
const jobTag = (4 << 3) | 2;

/**
 * The JobEvent of a row. The job goes in as the bytes that are stored: nothing
 * is decoded on the way to the broker. `epoch` is that of the stream it goes to.
 */
export function encodeJobEvent(row: JobRow, epoch: number): Uint8Array {
  const deleted = row.state === storedState.deleted;
  const head = toBinary(
    JobEventSchema,
    create(JobEventSchema, {
      jobId: row.jobId,
      generation: row.generation,
      deleted,
      timingGeneration: row.timingGeneration,
      effectiveFromMs: BigInt(row.effectiveFromMs),
      timingSequence: BigInt(timingSequenceIn(row, epoch)),
    }),
  );
  if (deleted) return head;
  const length = varint(row.job.length);
  return Buffer.concat([head, Uint8Array.of(jobTag, ...length), row.job]);
}

/**
 * 0: this event is the first with its timing. A sequence of an earlier stream
 * means nothing in this one; 1 says that the timing is long settled.
 */
function timingSequenceIn(row: JobRow, epoch: number): number {
  if (row.timingSequence === 0) return 0;
  return row.timingEpoch === epoch ? row.timingSequence : 1;
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 0x7f; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
  bytes.push(rest);
  return bytes;
}
