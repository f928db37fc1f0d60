import { create } from "@bufbuild/protobuf";
import { type Duration, DurationSchema, type Timestamp, TimestampSchema } from "@bufbuild/protobuf/wkt";
import {
  DstPolicy,
  type HttpCall,
  HttpCallSchema,
  HttpMethod,
  type Job,
  JobSchema,
  OverlapPolicy,
  type RetryPolicy,
  RetryPolicySchema,
} from "../../../gen/carillon/v1/job_pb.ts";
import { secondNotBefore } from "../../wire/job-schedule.ts";

const defaultTimeoutSeconds = 30n;
const defaultMaxAttempts = 2;
const defaultExpireAfterSeconds = 86_400n;
const defaultMinBackoffSeconds = 1n;
const defaultMaxBackoffSeconds = 300n;
const nanosPerSecond = 1_000_000_000n;

/**
 * What a client defines of a job, with each default filled in, and without the
 * fields that only the server sets. Equal definitions encode to equal bytes:
 * maps are in order, and instants are rounded up to the second that counts.
 *
 * The body stays unset when it was left out: its default follows from the
 * method wherever the call is made.
 */
export function defineJob(given: Job): Job {
  return create(JobSchema, {
    schedule: given.schedule,
    apiEndpoint: given.apiEndpoint,
    type: given.type,
    displayName: given.displayName,
    key: given.key,
    labels: inOrder(given.labels),
    timeZone: given.timeZone || "UTC",
    ...set("startTime", wholeSecond(given.startTime)),
    ...set("endTime", wholeSecond(given.endTime)),
    ...set("jitter", given.jitter),
    http: defineCall(given.http),
    retry: defineRetry(given.retry),
    overlapPolicy: given.overlapPolicy || OverlapPolicy.ALLOW,
    ...set("catchUp", given.catchUp),
    dstPolicy: given.dstPolicy || DstPolicy.ONCE,
    expireAfter: given.expireAfter ?? seconds(defaultExpireAfterSeconds),
  });
}

function defineCall(given: HttpCall | undefined): HttpCall {
  return create(HttpCallSchema, {
    method: given?.method || HttpMethod.POST,
    headers: inOrder(given?.headers ?? {}),
    ...set("body", given?.body),
    timeout: given?.timeout ?? seconds(defaultTimeoutSeconds),
    successCodes: given?.successCodes ?? [],
  });
}

function defineRetry(given: RetryPolicy | undefined): RetryPolicy {
  const minBackoff = given?.minBackoff ?? seconds(defaultMinBackoffSeconds);
  return create(RetryPolicySchema, {
    maxAttempts: given?.maxAttempts ?? defaultMaxAttempts,
    minBackoff,
    maxBackoff: given?.maxBackoff ?? defaultMaxBackoff(minBackoff),
  });
}

function defaultMaxBackoff(minBackoff: Duration): Duration {
  const fallback = seconds(defaultMaxBackoffSeconds);
  return durationNanos(minBackoff) > durationNanos(fallback) ? minBackoff : fallback;
}

/**
 * Takes max_backoff out of a stored definition where it is what defineRetry
 * fills in for that min_backoff. An update that changes min_backoff alone then
 * gets the default for the new one.
 */
export function withoutDerivedDefaults(job: Job): Job {
  const { retry } = job;
  if (!retry?.minBackoff || !retry.maxBackoff) return job;
  if (durationNanos(retry.maxBackoff) !== durationNanos(defaultMaxBackoff(retry.minBackoff))) return job;
  const { maxAttempts, minBackoff } = retry;
  return create(JobSchema, {
    ...job,
    retry: create(RetryPolicySchema, { ...set("maxAttempts", maxAttempts), minBackoff }),
  });
}

export function durationNanos(duration: Duration | undefined): bigint {
  return duration ? duration.seconds * nanosPerSecond + BigInt(duration.nanos) : 0n;
}

function wholeSecond(instant: Timestamp | undefined): Timestamp | undefined {
  if (!instant) return undefined;
  return create(TimestampSchema, { seconds: BigInt(secondNotBefore(instant)) });
}

function seconds(count: bigint): Duration {
  return create(DurationSchema, { seconds: count });
}

function inOrder(map: Readonly<Record<string, string>>): Record<string, string> {
  const entries = Object.entries(map);
  if (entries.length < 2) return map;
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** A property that is left out when there is no value: what exactOptionalPropertyTypes asks for. */
function set<K extends string, V>(key: K, value: V | undefined): { [P in K]?: V } {
  return value === undefined ? {} : ({ [key]: value } as { [P in K]: V });
}
