import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { JobSchema } from "../../../gen/carillon/v1/job_pb.ts";
import { readJobEvent } from "../../wire/job-event.ts";
import { defineJob } from "../jobs/job-definition.ts";
import { encodeRow, newJob } from "../jobs/stored-job.ts";
import { type JobRow, storedState } from "../store/contract.ts";
import { encodeRowEvent } from "./row-event.ts";

const definition = defineJob({
  ...fromBinary(JobSchema, new Uint8Array()),
  schedule: "*/5 * * * * *",
  apiEndpoint: "http://127.0.0.1:3000/größe",
  labels: { team: "a" },
});
const row = encodeRow(newJob("0199c0de-0000-7000-8000-000000000001", definition, 1_796_083_205_123));
const eventOf = (given: JobRow, edition: number) => readJobEvent(encodeRowEvent(given, edition));

describe("the event of a job", () => {
  it("reads back as what was stored", () => {
    const event = eventOf({ ...row, generation: 300, timingGeneration: 200 }, 1);
    expect(event).toMatchObject({
      jobId: row.jobId,
      generation: 300,
      deleted: false,
      timingGeneration: 200,
      effectiveFromMs: 1_796_083_205_123,
      timingSequence: 0,
    });
    expect(event.job && toBinary(JobSchema, event.job)).toEqual(row.job);
  });

  it("of a deleted job is a tombstone", () => {
    expect(eventOf({ ...row, state: storedState.deleted }, 1)).toMatchObject({ deleted: true, jobId: row.jobId });
    expect(eventOf({ ...row, state: storedState.deleted }, 1).job).toBeUndefined();
  });

  it("names the sequence of its timing in the stream that it belongs to, and 1 in any later one", () => {
    const published = { ...row, timingSequence: 2 ** 40, timingEdition: 3 };
    expect(eventOf(published, 3).timingSequence).toBe(2 ** 40);
    expect(eventOf(published, 4).timingSequence).toBe(1);
  });

  it("names the timings before it, and their sequences as that of its own", () => {
    const earlier = {
      timingGeneration: 1,
      schedule: "@hourly",
      timeZone: "Europe/Berlin",
      startSecond: 0,
      endSecond: undefined,
      effectiveFromMs: 5,
      untilMs: 7,
      timingSequence: 9,
      timingEdition: 3,
    };
    const given = { ...row, earlier: [earlier, { ...earlier, timingSequence: 0 }], pausedGeneration: 4 };
    const { timingEdition: _, ...said } = earlier;
    expect(eventOf(given, 3)).toMatchObject({ earlier: [said, { ...said, timingSequence: 0 }], pausedGeneration: 4 });
    expect(eventOf(given, 4).earlier.map(({ timingSequence }) => timingSequence)).toEqual([1, 0]);
  });
});
