import { create, toBinary } from "@bufbuild/protobuf";
import type { Duration } from "@bufbuild/protobuf/wkt";
import { DueBatchSchema, DueEntrySchema } from "../../gen/carillon/v1/events_pb.ts";
import { ExecutionTrigger } from "../../gen/carillon/v1/execution_pb.ts";
import { HttpMethod, type Job } from "../../gen/carillon/v1/job_pb.ts";

/** A due message holds up to this many occurrences. */
export const maxBatchEntries = 100;
/** And this many bytes, so that large bodies make small batches: the broker refuses a message over 1 MB. */
export const maxBatchBytes = 256 * 1024;

/**
 * The call of a job, serialised once a change and appended to each due batch.
 * The job's defaults are filled in (the registry does that on create).
 */
export function encodeDueEntry(job: Job, manual?: { executionId: string }): Uint8Array {
  return toBinary(
    DueEntrySchema,
    create(DueEntrySchema, {
      jobId: job.jobId,
      generation: job.generation,
      url: job.apiEndpoint,
      method: job.http?.method ?? 0,
      headers: job.http?.headers ?? {},
      body: job.http?.body ?? defaultBody(job.http?.method),
      timeoutMs: durationMs(job.http?.timeout),
      maxAttempts: job.retry?.maxAttempts ?? 1,
      minBackoffMs: durationMs(job.retry?.minBackoff),
      maxBackoffMs: durationMs(job.retry?.maxBackoff),
      executionId: manual?.executionId ?? "",
      trigger: manual ? ExecutionTrigger.MANUAL : ExecutionTrigger.SCHEDULE,
    }),
  );
}

// A body that was given, also an empty one, is sent as it is.
function defaultBody(method: HttpMethod = HttpMethod.POST): string {
  return method === HttpMethod.POST || method === HttpMethod.PUT || method === HttpMethod.PATCH ? "{}" : "";
}

export interface DueBatchHead {
  second: number;
  partition: number;
  mayRepeat: boolean;
  epoch: number;
}

// Field 5 of DueBatch (entries), wire type 2 (length-delimited).
const entriesTag = (5 << 3) | 2;

/** A DueBatch whose entries are serialised already: its head, then each buffer behind its tag and length. */
export function encodeDueBatch(head: DueBatchHead, entries: readonly Uint8Array[]): Uint8Array {
  const start = toBinary(
    DueBatchSchema,
    create(DueBatchSchema, {
      second: BigInt(head.second),
      partition: head.partition,
      mayRepeat: head.mayRepeat,
      epoch: BigInt(head.epoch),
    }),
  );
  let bytes = start.length;
  for (const entry of entries) bytes += 1 + varintBytes(entry.length) + entry.length;
  const batch = new Uint8Array(bytes);
  batch.set(start);
  let at = start.length;
  for (const entry of entries) {
    batch[at++] = entriesTag;
    let length = entry.length;
    for (; length > 0x7f; length >>>= 7) batch[at++] = (length & 0x7f) | 0x80;
    batch[at++] = length;
    batch.set(entry, at);
    at += entry.length;
  }
  return batch;
}

function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = value >>> 7; rest > 0; rest >>>= 7) bytes++;
  return bytes;
}

/** Milliseconds of a duration, rounded up so that a positive one stays positive; 0 when unset. */
export function durationMs(duration: Duration | undefined): number {
  return duration ? Number(duration.seconds) * 1000 + Math.ceil(duration.nanos / 1_000_000) : 0;
}
