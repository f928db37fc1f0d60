import { create } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { DueEntrySchema } from "../../gen/carillon/v1/events_pb.ts";
import { ExecutionTrigger } from "../../gen/carillon/v1/execution_pb.ts";
import { HttpMethod, JobSchema } from "../../gen/carillon/v1/job_pb.ts";
import { jobNamed } from "../../test/support/job-ids.ts";
import { expectBothWays, seeds, WireValues } from "../../test/support/wire-values.ts";
import { type DueEntry, dueEntryOf, durationMs, readDueEntry, writeDueEntry } from "./due-entry.ts";

const entryOf = (values: WireValues): DueEntry => ({
  jobId: values.jobId(),
  generation: values.uint32(),
  url: values.text(),
  method: values.dice.pick([HttpMethod.UNSPECIFIED, HttpMethod.POST, HttpMethod.OPTIONS, 77 as HttpMethod]),
  headers: Object.fromEntries(values.list(() => [values.text(), values.text()])),
  body: values.text(),
  timeoutMs: values.uint32(),
  maxAttempts: values.uint32(),
  minBackoffMs: values.uint32(),
  maxBackoffMs: values.uint32(),
  executionId: values.text(),
  trigger: values.dice.pick([ExecutionTrigger.UNSPECIFIED, ExecutionTrigger.SCHEDULE, ExecutionTrigger.MANUAL]),
  expireAfterS: values.uint32() || 1,
});

describe("a due entry", () => {
  it.each(seeds)("is the same to the generated code (seed %i)", (seed) => {
    const entry = entryOf(new WireValues(seed));
    expectBothWays(DueEntrySchema, entry, entry, { write: writeDueEntry, read: readDueEntry });
  });

  it("cannot be read from other bytes", () => {
    expect(() => readDueEntry(new Uint8Array([255, 255]))).toThrow();
    const entry = entryOf(new WireValues(1));
    expect(() => readDueEntry(writeDueEntry({ ...entry, body: "body" }).subarray(0, -1))).toThrow();
  });

  it("cannot be read when its job has an id of another kind, or none", () => {
    const entry = entryOf(new WireValues(1));
    for (const jobId of ["", "job", entry.jobId.toUpperCase()]) {
      expect(() => readDueEntry(writeDueEntry({ ...entry, jobId })), jobId).toThrow(/is no job id/);
    }
  });

  it("cannot be written with a number that its field does not hold, and the next one is whole", () => {
    const entry = entryOf(new WireValues(2));
    for (const timeoutMs of [2 ** 32, -1, 0.5]) expect(() => writeDueEntry({ ...entry, timeoutMs })).toThrow(/uint32/);
    expect(readDueEntry(writeDueEntry(entry))).toEqual(entry);
  });
});

const job = create(JobSchema, {
  jobId: "0199c0de-0000-7000-8000-000000000001",
  generation: 3,
  apiEndpoint: "http://127.0.0.1:1/hook",
  http: { method: HttpMethod.PUT, headers: { "X-A": "b" }, body: "{}", timeout: { seconds: 2n, nanos: 500_000_000 } },
  retry: { maxAttempts: 4, minBackoff: { seconds: 1n }, maxBackoff: { seconds: 60n } },
});

describe("the entry of a job", () => {
  it("carries all that a call needs", () => {
    expect(dueEntryOf(job)).toEqual({
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
      expireAfterS: 86_400,
    });
    expect(dueEntryOf(create(JobSchema, { expireAfter: { seconds: 90n } })).expireAfterS).toBe(90);
  });

  it("expires after a day where an older version wrote it", () => {
    const entry = { ...dueEntryOf(job), expireAfterS: 0 };
    expect(readDueEntry(writeDueEntry({ ...entry, jobId: jobNamed("old") })).expireAfterS).toBe(86_400);
  });

  it("names a manual run by the id that was promised", () => {
    const entry = dueEntryOf(job, { executionId: "x-m1" });
    expect(entry).toMatchObject({ executionId: "x-m1", trigger: ExecutionTrigger.MANUAL });
  });
});

describe("the body of a call", () => {
  const bodyOf = (http: { method: HttpMethod; body?: string }) => dueEntryOf(create(JobSchema, { http })).body;

  it("is an empty JSON object where a method wants one and none was given", () => {
    const { POST, PUT, PATCH, GET, HEAD, DELETE } = HttpMethod;
    expect([POST, PUT, PATCH].map((method) => bodyOf({ method }))).toEqual(["{}", "{}", "{}"]);
    expect([GET, HEAD, DELETE].map((method) => bodyOf({ method }))).toEqual(["", "", ""]);
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
