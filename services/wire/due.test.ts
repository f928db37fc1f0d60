import { create, fromBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { DueBatchSchema, DueEntrySchema } from "../../gen/carillon/v1/events_pb.ts";
import { ExecutionTrigger } from "../../gen/carillon/v1/execution_pb.ts";
import { HttpMethod, JobSchema } from "../../gen/carillon/v1/job_pb.ts";
import { durationMs, encodeDueBatch, encodeDueEntry } from "./due.ts";

const job = create(JobSchema, {
  jobId: "01kaw3v9j5x7s2d4f6g8h0m1n2",
  generation: 3,
  apiEndpoint: "http://127.0.0.1:1/hook",
  http: { method: HttpMethod.PUT, headers: { "X-A": "b" }, body: "{}", timeout: { seconds: 2n, nanos: 500_000_000 } },
  retry: { maxAttempts: 4, minBackoff: { seconds: 1n }, maxBackoff: { seconds: 60n } },
});

describe("a due batch", () => {
  it("that was put together from ready buffers reads like one that was serialised whole", () => {
    // Sizes on both sides of the one-, two- and three-byte varints.
    const entries = [0, 1, 127, 128, 16_383, 16_384, 70_000].map((size) => new Uint8Array(size).fill(size & 0xff));
    const bytes = encodeDueBatch({ second: 1_764_000_000, partition: 63, mayRepeat: true, epoch: 9 }, entries);
    const batch = fromBinary(DueBatchSchema, bytes);
    expect(batch.second).toBe(1_764_000_000n);
    expect(batch.partition).toBe(63);
    expect(batch.mayRepeat).toBe(true);
    expect(batch.epoch).toBe(9n);
    expect(batch.entries).toEqual(entries);
  });

  it("carries all that a call needs", () => {
    expect(fromBinary(DueEntrySchema, encodeDueEntry(job))).toMatchObject({
      jobId: job.jobId,
      generation: 3,
      url: "http://127.0.0.1:1/hook",
      method: HttpMethod.PUT,
      headers: { "X-A": "b" },
      body: "{}",
      timeoutMs: 2_500,
      maxAttempts: 4,
      minBackoffMs: 1_000,
      maxBackoffMs: 60_000,
      executionId: "",
      trigger: ExecutionTrigger.SCHEDULE,
    });
  });

  it("names a manual run by the id that was promised", () => {
    const entry = fromBinary(DueEntrySchema, encodeDueEntry(job, { executionId: "x-m1" }));
    expect(entry).toMatchObject({ executionId: "x-m1", trigger: ExecutionTrigger.MANUAL });
  });
});

describe("the body of a call", () => {
  const bodyOf = (http: { method: HttpMethod; body?: string }) =>
    fromBinary(DueEntrySchema, encodeDueEntry(create(JobSchema, { http }))).body;

  it("is an empty JSON object where a method wants one and none was given", () => {
    expect([HttpMethod.POST, HttpMethod.PUT, HttpMethod.PATCH].map((method) => bodyOf({ method }))).toEqual([
      "{}",
      "{}",
      "{}",
    ]);
    expect([HttpMethod.GET, HttpMethod.HEAD, HttpMethod.DELETE].map((method) => bodyOf({ method }))).toEqual([
      "",
      "",
      "",
    ]);
  });

  it("is what was given, an empty one too", () => {
    expect(bodyOf({ method: HttpMethod.POST, body: "" })).toBe("");
    expect(bodyOf({ method: HttpMethod.POST, body: "x" })).toBe("x");
  });
});

describe("a duration in milliseconds", () => {
  it("is never rounded to nothing", () => {
    const { minBackoff } = create(JobSchema, { retry: { minBackoff: { seconds: 0n, nanos: 1 } } }).retry ?? {};
    expect(durationMs(minBackoff)).toBe(1);
    expect(durationMs(undefined)).toBe(0);
  });
});
