import { fromBinary } from "@bufbuild/protobuf";
import type { Duration } from "@bufbuild/protobuf/wkt";
import { DueEntrySchema } from "../../gen/carillon/v1/events_pb.ts";
import { ExecutionTrigger } from "../../gen/carillon/v1/execution_pb.ts";
import { HttpMethod, type Job } from "../../gen/carillon/v1/job_pb.ts";
import { isJobId } from "../domain/identity/job-id.ts";
import { writeMessage } from "./field-writer.ts";

/** All that the executor needs to make a job's call. */
export interface DueEntry {
  jobId: string;
  /** That of the job when the entry was made. */
  generation: number;
  url: string;
  method: HttpMethod;
  headers: Readonly<Record<string, string>>;
  body: string;
  timeoutMs: number;
  maxAttempts: number;
  minBackoffMs: number;
  maxBackoffMs: number;
  /** Only of a manual run; otherwise empty, because it is made from the job and the second. */
  executionId: string;
  trigger: ExecutionTrigger;
  /** How late an attempt may start, counted from the second of its occurrence. */
  expireAfterS: number;
}

// Of jobs that were stored before they had one.
const defaultExpireAfterS = 86_400;

/** The entry of a job, or of a manual run of it. The job's defaults are filled in (the registry does that on create). */
export function dueEntryOf(job: Job, manual?: { executionId: string }): DueEntry {
  return {
    jobId: job.jobId,
    generation: job.generation,
    url: job.apiEndpoint,
    method: job.http?.method ?? HttpMethod.UNSPECIFIED,
    headers: job.http?.headers ?? {},
    body: job.http?.body ?? defaultBody(job.http?.method),
    timeoutMs: durationMs(job.http?.timeout),
    maxAttempts: job.retry?.maxAttempts ?? 1,
    minBackoffMs: durationMs(job.retry?.minBackoff),
    maxBackoffMs: durationMs(job.retry?.maxBackoff),
    executionId: manual?.executionId ?? "",
    trigger: manual ? ExecutionTrigger.MANUAL : ExecutionTrigger.SCHEDULE,
    expireAfterS: Math.ceil(durationMs(job.expireAfter) / 1000) || defaultExpireAfterS,
  };
}

/**
 * Serialised once a change of a job and appended to each due batch, so that an
 * executor finds a call by its bytes. At 20,000 created jobs a second each
 * ticker writes as many: FieldWriter takes half of what create() and toBinary() take.
 */
export function writeDueEntry(entry: DueEntry): Uint8Array {
  return writeMessage((fields) => {
    fields.string(1, entry.jobId);
    fields.uint32(2, entry.generation);
    fields.string(3, entry.url);
    fields.enum(4, entry.method);
    fields.map(5, entry.headers);
    fields.string(6, entry.body);
    fields.uint32(7, entry.timeoutMs);
    fields.uint32(8, entry.maxAttempts);
    fields.uint32(9, entry.minBackoffMs);
    fields.uint32(10, entry.maxBackoffMs);
    fields.string(11, entry.executionId);
    fields.enum(12, entry.trigger);
    fields.uint32(13, entry.expireAfterS);
  });
}

/** Throws when the bytes are no DueEntry, or the job's id is none. */
export function readDueEntry(bytes: Uint8Array): DueEntry {
  const { $typeName, $unknown, ...entry } = fromBinary(DueEntrySchema, bytes);
  if (!isJobId(entry.jobId)) throw new Error(`"${entry.jobId}" is no job id`);
  return { ...entry, expireAfterS: entry.expireAfterS || defaultExpireAfterS };
}

// A body that was given, also an empty one, is sent as it is.
function defaultBody(method: HttpMethod = HttpMethod.POST): string {
  return method === HttpMethod.POST || method === HttpMethod.PUT || method === HttpMethod.PATCH ? "{}" : "";
}

/** Milliseconds of a duration, rounded up so that a positive one stays positive; 0 when unset. */
export function durationMs(duration: Duration | undefined): number {
  return duration ? Number(duration.seconds) * 1000 + Math.ceil(duration.nanos / 1_000_000) : 0;
}
