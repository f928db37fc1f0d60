import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import {
  BatchCreateJobsRequestSchema,
  CreateJobRequestSchema,
  JobSchema,
  UpdateJobRequestSchema,
} from "../../../../gen/carillon/v1/job_pb.ts";
import { RpcError } from "../errors/rpc-error.ts";
import { createRequestCheck } from "./request-check.ts";
import { findRequestFault } from "./request-faults.ts";

test("an unknown field is found at any depth, with message, number and path", () => {
  const job = create(JobSchema, { schedule: "x", http: { body: "b" }, labels: { a: "b" } });
  const clean = create(BatchCreateJobsRequestSchema, { requests: [{ job }, { job }] });
  expect(findRequestFault(BatchCreateJobsRequestSchema, clean)).toBeUndefined();

  // Field 100, varint 1, at the end of a job.
  const bytes = Buffer.concat([toBinary(JobSchema, job), Buffer.from([0xa0, 0x06, 0x01])]);
  const tainted = create(CreateJobRequestSchema, { job: fromBinary(JobSchema, bytes) });
  const batch = create(BatchCreateJobsRequestSchema, { requests: [{ job }, tainted] });
  expect(findRequestFault(BatchCreateJobsRequestSchema, batch)).toEqual({
    field: "requests[1].job",
    description: "carillon.v1.Job has no field with number 100 in this version",
    reason: "UNKNOWN_FIELD",
  });
});

type JobInit = MessageInitShape<typeof JobSchema>;

const outOfRange: [string, JobInit, string][] = [
  ["signs that differ", { http: { timeout: { seconds: 1n, nanos: -5 } } }, "job.http.timeout"],
  ["signs that differ the other way", { http: { timeout: { seconds: -1n, nanos: 5 } } }, "job.http.timeout"],
  ["a whole second of nanos", { http: { timeout: { seconds: 10n, nanos: 1e9 } } }, "job.http.timeout"],
  ["a negative second of nanos", { http: { timeout: { seconds: 5n, nanos: -1e9 } } }, "job.http.timeout"],
  ["as many nanos as fit", { retry: { minBackoff: { seconds: 1n, nanos: 2 ** 31 - 1 } } }, "job.retry.min_backoff"],
  ["more than 10,000 years", { jitter: { seconds: 315_576_000_001n, nanos: 0 } }, "job.jitter"],
  ["minus 10,000 years", { jitter: { seconds: -315_576_000_001n, nanos: 0 } }, "job.jitter"],
  ["negative nanos of a time", { startTime: { seconds: 1n, nanos: -5 } }, "job.start_time"],
  ["a whole second of nanos in a time", { startTime: { seconds: 1n, nanos: 1e9 } }, "job.start_time"],
  ["the year 0", { endTime: { seconds: -62_135_596_801n, nanos: 0 } }, "job.end_time"],
  ["the year 10000", { endTime: { seconds: 253_402_300_800n, nanos: 0 } }, "job.end_time"],
];

test.each(outOfRange)("%s is refused before it is stored, on creating and on updating", (_, job, field) => {
  const check = createRequestCheck();
  for (const [desc, request] of [
    [CreateJobRequestSchema, create(CreateJobRequestSchema, { job })],
    // Its job is exempt from protovalidate's rules.
    [UpdateJobRequestSchema, create(UpdateJobRequestSchema, { job })],
  ] as const) {
    const refused = expect(() => check(desc, request));
    refused.toThrow(RpcError);
    refused.toThrow(expect.objectContaining({ code: "INVALID_ARGUMENT", reason: "INVALID_FIELD" }));
    refused.toThrow(expect.objectContaining({ fieldViolations: [expect.objectContaining({ field })] }));
  }
});

test("the ends of the ranges are inside", () => {
  const job = create(JobSchema, {
    jitter: { seconds: -315_576_000_000n, nanos: -999_999_999 },
    http: { timeout: { seconds: 0n, nanos: -1 } },
    startTime: { seconds: -62_135_596_800n, nanos: 0 },
    endTime: { seconds: 253_402_300_799n, nanos: 999_999_999 },
  });
  expect(findRequestFault(JobSchema, job)).toBeUndefined();
});
