import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { BatchCreateJobsRequestSchema, CreateJobRequestSchema, JobSchema } from "../../../gen/carillon/v1/job_pb.ts";
import { findUnknownField } from "./unknown-fields.ts";

test("an unknown field is found at any depth, with message, number and path", () => {
  const job = create(JobSchema, { schedule: "x", http: { body: "b" }, labels: { a: "b" } });
  const clean = create(BatchCreateJobsRequestSchema, { requests: [{ job }, { job }] });
  expect(findUnknownField(BatchCreateJobsRequestSchema, clean)).toBeUndefined();

  // Field 100, varint 1, at the end of a job.
  const bytes = Buffer.concat([toBinary(JobSchema, job), Buffer.from([0xa0, 0x06, 0x01])]);
  const tainted = create(CreateJobRequestSchema, { job: fromBinary(JobSchema, bytes) });
  const batch = create(BatchCreateJobsRequestSchema, { requests: [{ job }, tainted] });
  expect(findUnknownField(BatchCreateJobsRequestSchema, batch)).toEqual({
    field: "requests[1].job",
    description: "carillon.v1.Job has no field with number 100 in this version",
  });
});
