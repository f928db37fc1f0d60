import { create } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { JobSchema } from "../../../gen/carillon/v1/job_pb.ts";
import { jobNamed } from "../../../test/support/job-ids.ts";
import { type StoredState, storedState } from "../store/contract.ts";
import { defineJob } from "./job-definition.ts";
import { changedJob, newJob, type StoredJob } from "./stored-job.ts";

const createdMs = 1_790_000_000_250;
const define = (schedule: string, fields = {}) =>
  defineJob(create(JobSchema, { schedule, apiEndpoint: "http://127.0.0.1:9/", ...fields }));
const created = () => newJob(jobNamed("a"), define("* * * * * *"), createdMs);

const edit = (job: StoredJob, afterMs: number, schedule = "*/5 * * * * *", fields = {}) =>
  changedJob(job, { retimed: true, definition: define(schedule, fields), nowMs: createdMs + afterMs });
const turn = (job: StoredJob, afterMs: number, state: StoredState) =>
  changedJob(job, { retimed: true, state, nowMs: createdMs + afterMs });
const spans = ({ earlier }: StoredJob) =>
  earlier.map(({ effectiveFromMs, untilMs }) => [effectiveFromMs - createdMs, untilMs - createdMs]);

describe("a job carries along", () => {
  it("each timing that an edit has ended, whole, until it was made up for by anybody", () => {
    const published = { ...created(), timingSequence: 7, timingEdition: 2 };
    const startTime = { seconds: 1_700_000_000n, nanos: 0 };
    const first = edit(published, 1_000, "@every 7s", { startTime, timeZone: "Europe/Berlin" });
    const second = edit(first, 3_000);
    const base = { startSecond: undefined, endSecond: undefined, timeZone: "UTC", timingSequence: 0, timingEdition: 0 };
    expect(second.earlier).toEqual([
      {
        ...base,
        timingGeneration: 1,
        schedule: "* * * * * *",
        effectiveFromMs: createdMs,
        untilMs: createdMs + 1_000,
        timingSequence: 7,
        timingEdition: 2,
      },
      {
        ...base,
        timingGeneration: 2,
        schedule: "@every 7s",
        timeZone: "Europe/Berlin",
        startSecond: 1_700_000_000,
        effectiveFromMs: createdMs + 1_000,
        untilMs: createdMs + 3_000,
      },
    ]);
    expect(spans(edit(second, 3_601_000))).toEqual([
      [1_000, 3_000],
      [3_000, 3_601_000],
    ]);
  });

  it("nothing new when only its call changes", () => {
    const edited = edit(created(), 1_000);
    const renamed = changedJob(edited, {
      retimed: false,
      definition: define("*/5 * * * * *"),
      nowMs: createdMs + 2_000,
    });
    expect(renamed.earlier).toBe(edited.earlier);
  });

  it("nothing of before a pause, nor of it, and the generation of the last one", () => {
    const paused = turn(edit(created(), 1_000), 2_000, storedState.paused);
    expect([paused.earlier, paused.pausedGeneration]).toEqual([[], 3]);
    const resumed = turn(edit(paused, 3_000), 4_000, storedState.active);
    expect([resumed.earlier, resumed.pausedGeneration]).toEqual([[], 3]);
    expect(spans(edit(resumed, 5_000))).toEqual([[4_000, 5_000]]);
    expect(turn(edit(resumed, 5_000), 6_000, storedState.deleted).earlier).toEqual([]);
  });

  it("no timing beyond the one after it, where a clock was set back", () => {
    const ahead = edit(edit(created(), 10_000), 20_000);
    expect(spans(edit(ahead, 5_000))).toEqual([[0, 5_000]]);
  });

  it("of very many those that hold an occurrence, the newest ones, and never too many bytes", () => {
    let job = created();
    // Four a second: one of them holds its boundary.
    for (let i = 1; i <= 100; i++) job = edit(job, i * 250, "* * * * * *");
    const ends = spans(job).map(([, until]) => until);
    expect(ends.length).toBeLessThanOrEqual(32);
    for (let boundary = 1; boundary <= 24; boundary++) expect(ends).toContain(boundary * 1_000 - 250);
    for (let i = 101; i <= 200; i++) job = edit(job, i * 1_000, "* * * * * *");
    expect(spans(job)).toHaveLength(32);
    expect(spans(job).at(-1)).toEqual([199_000, 200_000]);
    const long = `@at 2099-01-01T00:00:00Z${" ".repeat(480)}`;
    for (let i = 201; i <= 220; i++) job = edit(job, i * 1_000, long);
    const chars = job.earlier.reduce((sum, { schedule }) => sum + schedule.length, 0);
    expect(chars).toBeLessThanOrEqual(4_096);
  });
});
