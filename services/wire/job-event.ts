import { fromBinary } from "@bufbuild/protobuf";
import { BinaryReader } from "@bufbuild/protobuf/wire";
import {
  type EarlierTiming as EarlierTimingMessage,
  EarlierTimingSchema,
  JobEventSchema,
} from "../../gen/carillon/v1/events_pb.ts";
import type { Job } from "../../gen/carillon/v1/job_pb.ts";
import { isJobId } from "../domain/identity/job-id.ts";
import { type FieldWriter, writeMessage } from "./field-writer.ts";
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
  /** The timings before this one that edits have ended, as far as they may still be owed; oldest first. */
  earlier: readonly EarlierTiming[];
  /** The generation of the last pause: what was published before it, and is not begun, is not called. 0: none. */
  pausedGeneration: number;
  /** It is never due again, and all that it was due at was published: there is no job in it, and it still stands. */
  ended: boolean;
}

/** A timing that an edit has ended: what lies within it is owed as before. */
export interface EarlierTiming {
  timingGeneration: number;
  schedule: string;
  timeZone: string;
  startSecond: number | undefined;
  endSecond: number | undefined;
  /** Occurrences strictly after this instant, and up to the next one, follow this timing; unix milliseconds. */
  effectiveFromMs: number;
  untilMs: number;
  /** The JOBS sequence that first carried it; 0 when that is not known. */
  timingSequence: number;
}

const generationField = 2;
const deletedField = 3;
const jobField = 4;
const timingGenerationField = 5;
const effectiveFromField = 6;
const earlierField = 8;
const pausedGenerationField = 9;
const endedField = 10;

/** The job goes in as its serialised self: nothing is decoded on the way from the store to the broker. */
export function writeJobEvent(event: JobEvent<Uint8Array>): Uint8Array {
  return writeMessage((fields) => {
    fields.string(1, event.jobId);
    fields.uint32(generationField, event.generation);
    fields.bool(deletedField, event.deleted);
    if (event.job) fields.item(jobField, event.job);
    fields.uint32(timingGenerationField, event.timingGeneration);
    fields.int64(effectiveFromField, event.effectiveFromMs);
    fields.uint64(7, event.timingSequence);
    for (const timing of event.earlier) fields.message(earlierField, () => writeEarlier(fields, timing));
    fields.uint32(pausedGenerationField, event.pausedGeneration);
    fields.bool(endedField, event.ended);
  });
}

function writeEarlier(fields: FieldWriter, timing: EarlierTiming): void {
  fields.uint32(1, timing.timingGeneration);
  fields.string(2, timing.schedule);
  fields.string(3, timing.timeZone);
  fields.optionalInt64(4, timing.startSecond);
  fields.optionalInt64(5, timing.endSecond);
  fields.int64(6, timing.effectiveFromMs);
  fields.int64(7, timing.untilMs);
  fields.uint64(8, timing.timingSequence);
}

/** Beside those of its states: it is told of the last one once more. */
export function endedEventId(jobId: string, generation: number, edition: number): string {
  return `${jobEventId(jobId, generation, edition)}:ended`;
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
    earlier: event.earlier.map(readEarlier),
    pausedGeneration: event.pausedGeneration,
    ended: event.ended,
  };
}

function readEarlier(timing: EarlierTimingMessage): EarlierTiming {
  const { timingGeneration, schedule, timeZone, startSecond, endSecond } = timing;
  return {
    timingGeneration,
    schedule,
    timeZone,
    startSecond: startSecond === undefined ? undefined : Number(startSecond),
    endSecond: endSecond === undefined ? undefined : Number(endSecond),
    effectiveFromMs: instantFrom(timing.effectiveFromMs),
    untilMs: instantFrom(timing.untilMs),
    timingSequence: Number(timing.timingSequence),
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

/** Whether it says that the job is deleted. */
export function isTombstone(bytes: Uint8Array): boolean {
  let deleted = false;
  readFields(bytes, deletedField, (field, reader) => {
    if (field !== deletedField) return false;
    deleted = reader.bool();
    return true;
  });
  return deleted;
}

/** A timing, and from where on it stands. */
export interface EventTiming {
  generation: number;
  effectiveFromMs: number;
}

export interface EventTimings {
  /** By generation, ascending; none in an event that says nothing of a timing. */
  timings: readonly EventTiming[];
  pausedGeneration: number;
  ended: boolean;
}

/** What is said of timings alone. Costs a third of what readJobEvent does. */
export function timingsOf(bytes: Uint8Array): EventTimings {
  const earlier: EventTiming[] = [];
  const timing = { generation: 0, effectiveFromMs: 0 };
  let pausedGeneration = 0;
  let ended = false;
  readFields(bytes, endedField, (field, reader) => {
    if (field === timingGenerationField) timing.generation = reader.uint32();
    else if (field === effectiveFromField) timing.effectiveFromMs = Number(reader.int64());
    else if (field === earlierField) earlier.push(earlierTimingOf(reader.bytes()));
    else if (field === pausedGenerationField) pausedGeneration = reader.uint32();
    else if (field === endedField) ended = reader.bool();
    else return false;
    return true;
  });
  return { timings: timing.generation === 0 ? earlier : [...earlier, timing], pausedGeneration, ended };
}

function earlierTimingOf(bytes: Uint8Array): EventTiming {
  const { timingGeneration: generation, effectiveFromMs } = fromBinary(EarlierTimingSchema, bytes);
  return { generation, effectiveFromMs: Number(effectiveFromMs) };
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
