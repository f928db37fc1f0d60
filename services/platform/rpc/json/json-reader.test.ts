import { toJson } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { DueEntrySchema, type JobEvent, JobEventSchema } from "../../../../gen/carillon/v1/events_pb.ts";
import { AuditJobRequestSchema } from "../../../../gen/carillon/v1/execution_pb.ts";
import { CatchUpSchema, JobSchema, UpdateJobRequestSchema } from "../../../../gen/carillon/v1/job_pb.ts";
import { readMessage } from "./json-reader.ts";
import { writeMessage } from "./json-writer.ts";

test("what the writer writes, the reader reads, and protobuf-es agrees", () => {
  const json = {
    job_id: "j",
    job: {
      schedule: "@daily",
      type: "ATLEAST_ONCE",
      labels: { a: "b" },
      http: { timeout: "0.250s", success_codes: [200] },
    },
    effective_from_ms: "9007199254740993",
    timing_sequence: "18446744073709551615",
    deleted: true,
  };
  const message = readMessage(JobEventSchema, json) as JobEvent;
  expect(writeMessage(JobEventSchema, message)).toMatchObject(json);
  expect(toJson(JobEventSchema, message)).toMatchObject({
    effectiveFromMs: "9007199254740993",
    job: { type: "JOB_TYPE_ATLEAST_ONCE", http: { timeout: "0.250s" } },
  });
});

test.each([
  ["+02:00", "2026-12-01T09:00:00.5+02:00", "2026-12-01T07:00:00.500Z"],
  ["no fraction", "2026-12-01T09:00:00Z", "2026-12-01T09:00:00.000Z"],
  ["nanoseconds", "2026-12-01T09:00:00.123456789Z", "2026-12-01T09:00:00.123Z"],
])("a timestamp with %s is written in UTC with milliseconds", (_, text, written) => {
  const message = readMessage(AuditJobRequestSchema, { start_time: text });
  expect(writeMessage(AuditJobRequestSchema, message)).toEqual({ job_id: "", start_time: written });
});

test("integers may be digits in a string, and nothing else may", () => {
  expect(readMessage(DueEntrySchema, { timeout_ms: "30" })).toMatchObject({ timeoutMs: 30 });
  for (const bad of ["", "3.0", " 3", "0x3", 1.5, true, [3], {}, Number.NaN]) {
    expect(() => readMessage(DueEntrySchema, { timeout_ms: bad })).toThrow("timeout_ms: expected a whole number");
  }
  expect(() => readMessage(DueEntrySchema, { timeout_ms: -1 })).toThrow("timeout_ms: must be from 0 to 4294967295");
  expect(() => readMessage(JobEventSchema, { effective_from_ms: 2 ** 53 })).toThrow("expected a whole number");
});

test("an enum is read by short name, full name or number", () => {
  for (const policy of ["ALL", "POLICY_ALL", 1])
    expect(readMessage(CatchUpSchema, { policy })).toMatchObject({ policy: 1 });
  expect(() => readMessage(CatchUpSchema, { policy: 9 })).toThrow(
    "expected one of ALL, LATEST, NONE, got the number 9",
  );
  expect(() => readMessage(CatchUpSchema, { policy: "lates" })).toThrow("did you mean LATEST?");
});

test("a field mask takes either case", () => {
  const message = readMessage(UpdateJobRequestSchema, { updateMask: "timeZone, http.body" });
  expect(message).toMatchObject({ updateMask: { paths: ["time_zone", "http.body"] } });
});

test("a field mask leaves what is no name in camelCase as it was sent", () => {
  const message = readMessage(UpdateJobRequestSchema, { updateMask: "http.headers.X-B,HTTP" });
  expect(message).toMatchObject({ updateMask: { paths: ["http.headers.X-B", "HTTP"] } });
});

test("a key that would reach into prototypes is refused or plainly unknown", () => {
  expect(() => readMessage(JobSchema, JSON.parse('{"__proto__": {}}'))).toThrow("unknown field");
  expect(() => readMessage(JobSchema, { constructor: {} })).toThrow("unknown field");
  expect(() => readMessage(JobSchema, { labels: JSON.parse('{"__proto__": "x"}') })).toThrow("cannot be used as a key");
  expect(readMessage(JobSchema, { labels: { constructor: "x" } })).toMatchObject({ labels: { constructor: "x" } });
});

test("a null leaves a field unset, but has no place in a list", () => {
  expect(readMessage(JobSchema, { schedule: null, http: null, labels: null })).toEqual(readMessage(JobSchema, {}));
  expect(() => readMessage(JobSchema, { http: { success_codes: [null] } })).toThrow(
    "http.success_codes[0]: expected a whole number, got null",
  );
});
