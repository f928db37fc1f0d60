import { fromBinary } from "@bufbuild/protobuf";
import { BinaryReader } from "@bufbuild/protobuf/wire";
import { JobEventSchema } from "../../gen/carillon/v1/events_pb.ts";
import type { Job } from "../../gen/carillon/v1/job_pb.ts";
import { isJobId } from "../domain/identity/job-id.ts";
import { writeMessage } from "./field-writer.ts";
import { instantFrom } from "./ranges.ts";

/** The last state of a job; `job` is what it is defined as, in the form that its reader or writer has. */
export interface JobEvent<J = Job> {
  jobId: string;
  /** That of the job; a deletion counts as a change. */
  generation: number;
  /** A tombstone: there is no job then. */
  deleted: boolean;
  job: J | undefined;
  /** The generation at which what decides when the job is due last changed. */
  timingGeneration: number;
  /** Occurrences strictly after this instant follow this timing; unix milliseconds. */
  effectiveFromMs: number;
  /** The JOBS sequence of the event that first carried this timing; 0 when that is this very event. */
  timingSequence: number;
}

const generationField = 2;

/** The job goes in as its serialised self: nothing is decoded on the way from the store to the broker. */
export function writeJobEvent(event: JobEvent<Uint8Array>): Uint8Array {
  return writeMessage((fields) => {
    fields.string(1, event.jobId);
    fields.uint32(generationField, event.generation);
    fields.bool(3, event.deleted);
    if (event.job) fields.item(4, event.job);
    fields.uint32(5, event.timingGeneration);
    fields.int64(6, event.effectiveFromMs);
    fields.uint64(7, event.timingSequence);
  });
}

/** With the edition of the stream in it, what fills a purged stream is not taken for a repeat. */
export function jobEventId(jobId: string, generation: number, edition: number): string {
  return `${jobId}:${generation}:${edition}`;
}

/** Throws when the bytes are no JobEvent, or what is in it cannot be. */
export function readJobEvent(bytes: Uint8Array): JobEvent {
  const { jobId, generation, deleted, job, timingGeneration, ...event } = fromBinary(JobEventSchema, bytes);
  if (!isJobId(jobId)) throw new Error(`"${jobId}" is no job id`);
  if (job && job.jobId !== jobId) throw new Error(`an event of ${jobId} with the job ${job.jobId}`);
  return {
    jobId,
    generation,
    deleted,
    job,
    timingGeneration,
    effectiveFromMs: instantFrom(event.effectiveFromMs),
    timingSequence: Number(event.timingSequence),
  };
}

/** The generation alone, without decoding the job beside it; 0 when there is none. */
export function generationOf(bytes: Uint8Array): number {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === generationField) return reader.uint32();
    // Fields come in order: past it, it is not there.
    if (field > generationField) break;
    reader.skip(wireType, field);
  }
  return 0;
}
