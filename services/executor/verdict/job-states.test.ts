import { create, toBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { DueEntrySchema, JobEventSchema } from "../../../gen/carillon/v1/events_pb.ts";
import { ExecutionTrigger } from "../../../gen/carillon/v1/execution_pb.ts";
import { JobState } from "../../../gen/carillon/v1/job_pb.ts";
import { jobNamed } from "../../../test/support/job-ids.ts";
import type { Clock } from "../../platform/process/clock.ts";
import { decodeCall } from "../calls/call.ts";
import { createJobStates } from "./job-states.ts";

const [a, b] = [jobNamed("a"), jobNamed("b")];
const minuteMs = 60_000;
let nowMs = 1_000_000_000;
const clock: Clock = { nowMs: () => nowMs, monotonicMs: () => nowMs, after: () => () => undefined };

const callOf = (generation: number, trigger: ExecutionTrigger = ExecutionTrigger.SCHEDULE) =>
  decodeCall(toBinary(DueEntrySchema, create(DueEntrySchema, { jobId: a, generation, url: "http://old/", trigger })));

const eventOf = (fields: { generation: number; timingGeneration?: number; deleted?: boolean; state?: JobState }) => {
  const { generation, timingGeneration = 1, deleted = false, state = JobState.ACTIVE } = fields;
  const job = { jobId: a, generation, state, apiEndpoint: "http://new/" };
  const event = create(JobEventSchema, {
    jobId: a,
    generation,
    timingGeneration,
    deleted,
    ...(deleted ? {} : { job }),
  });
  return toBinary(JobEventSchema, event);
};

const statesAfter = (...events: Uint8Array[]) => {
  const states = createJobStates(clock);
  for (const event of events) states.note(a, event);
  return states;
};

describe("job states", () => {
  it("remember nothing of a job that was only created", () => {
    expect(statesAfter(eventOf({ generation: 1 })).empty()).toBe(true);
  });

  it("stop a paused and a deleted job, and an attempt of it that is to be repeated", () => {
    const paused = statesAfter(eventOf({ generation: 2, timingGeneration: 2, state: JobState.PAUSED }));
    const deleted = statesAfter(eventOf({ generation: 2, deleted: true }));
    for (const started of [false, true]) {
      expect(paused.judge(callOf(1), started)).toEqual({ kind: "skip", reason: "JOB_PAUSED" });
      expect(deleted.judge(callOf(1), started)).toEqual({ kind: "skip", reason: "JOB_DELETED" });
    }
  });

  it("run a paused job by hand, but not a deleted one", () => {
    const manual = callOf(1, ExecutionTrigger.MANUAL);
    const paused = statesAfter(eventOf({ generation: 2, timingGeneration: 2, state: JobState.PAUSED }));
    expect(paused.judge(manual, false)).toEqual({ kind: "fire", call: manual });
    const deleted = statesAfter(eventOf({ generation: 2, deleted: true }));
    expect(deleted.judge(manual, false)).toEqual({ kind: "skip", reason: "JOB_DELETED" });
  });

  it("leave the occurrences of a changed schedule to the new one, and let what has begun go on", () => {
    const states = statesAfter(eventOf({ generation: 3, timingGeneration: 2 }));
    expect(states.judge(callOf(1), false)).toEqual({ kind: "skip", reason: "JOB_CHANGED" });
    expect(states.judge(callOf(1), true)).toMatchObject({ kind: "fire", call: { origin: "http://new" } });
    // Published under the new timing already.
    expect(states.judge(callOf(2), false)).toMatchObject({ kind: "fire", call: { origin: "http://new" } });
  });

  it("fire as published when the entry is as new as the change", () => {
    const states = statesAfter(eventOf({ generation: 2, state: JobState.PAUSED, timingGeneration: 2 }));
    const call = callOf(2);
    expect(states.judge(call, false)).toEqual({ kind: "fire", call });
  });

  it("keep the newest change, in whatever order they are read", () => {
    const states = statesAfter(eventOf({ generation: 3, deleted: true }), eventOf({ generation: 2 }));
    expect(states.judge(callOf(1), false)).toEqual({ kind: "skip", reason: "JOB_DELETED" });
  });

  it("say how far back they reach, also when old changes are forgotten or new ones missed", () => {
    const states = createJobStates(clock);
    expect(states.completeSinceMs()).toBe(Number.POSITIVE_INFINITY);
    states.markFollowed();
    const followedMs = states.completeSinceMs();
    expect(followedMs).toBeGreaterThanOrEqual(nowMs);
    states.note(a, eventOf({ generation: 2 }));
    states.markLost();
    expect(states.completeSinceMs()).toBe(Number.POSITIVE_INFINITY);
    expect(states.knows(a)).toBe(true);
    states.markFollowed();
    const notedMs = nowMs;
    nowMs += 11 * minuteMs;
    states.note(b, eventOf({ generation: 2 }));
    expect(states.knows(a)).toBe(false);
    expect(states.completeSinceMs()).toBeGreaterThanOrEqual(notedMs);
  });
});
