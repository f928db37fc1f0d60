import { fromBinary } from "@bufbuild/protobuf";
import { BinaryReader } from "@bufbuild/protobuf/wire";
import { JobEventSchema } from "../../gen/carillon/v1/events_pb.ts";
import { type Job, JobState } from "../../gen/carillon/v1/job_pb.ts";
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
const jobField = 4;
const timingGenerationField = 5;
const effectiveFromField = 6;
/** In the job. */
const stateField = 18;

/** The job goes in as its serialised self: nothing is decoded on the way from the store to the broker. */
export function writeJobEvent(event: JobEvent<Uint8Array>): Uint8Array {
  return writeMessage((fields) => {
    fields.string(1, event.jobId);
    fields.uint32(generationField, event.generation);
    fields.bool(3, event.deleted);
    if (event.job) fields.item(jobField, event.job);
    fields.uint32(timingGenerationField, event.timingGeneration);
    fields.int64(effectiveFromField, event.effectiveFromMs);
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
  let generation = 0;
  readFields(bytes, generationField, (field, reader) => {
    if (field !== generationField) return false;
    generation = reader.uint32();
    return true;
  });
  return generation;
}

/** What is said of the timing alone. */
export interface EventTiming {
  generation: number;
  effectiveFromMs: number;
  /** Nothing is due by it until the job is resumed. */
  paused: boolean;
}

/** Undefined in an event that says nothing of a timing. Costs a third of what readJobEvent does. */
export function timingOf(bytes: Uint8Array): EventTiming | undefined {
  const timing = { generation: 0, effectiveFromMs: 0, paused: false };
  readFields(bytes, effectiveFromField, (field, reader) => {
    if (field === jobField) timing.paused = stateOf(reader.bytes()) === JobState.PAUSED;
    else if (field === timingGenerationField) timing.generation = reader.uint32();
    else if (field === effectiveFromField) timing.effectiveFromMs = Number(reader.int64());
    else return false;
    return true;
  });
  return timing.generation === 0 ? undefined : timing;
}

function stateOf(job: Uint8Array): JobState {
  let state: JobState = JobState.UNSPECIFIED;
  readFields(job, stateField, (field, reader) => {
    if (field !== stateField) return false;
    state = reader.int32() as JobState;
    return true;
  });
  return state;
}

/** Fields come in order: behind `last` nothing is looked at. `read` says whether it has read the field's value. */
function readFields(bytes: Uint8Array, last: number, read: (field: number, reader: BinaryReader) => boolean): void {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field > last) return;
    if (!read(field, reader)) reader.skip(wireType, field);
  }
}
