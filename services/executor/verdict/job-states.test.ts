import { create, toBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { DueEntrySchema, JobEventSchema } from "../../../gen/carillon/v1/events_pb.ts";
import { ExecutionTrigger } from "../../../gen/carillon/v1/execution_pb.ts";
import { JobState } from "../../../gen/carillon/v1/job_pb.ts";
import { jobNamed, jobsNamed } from "../../../test/support/job-ids.ts";
import type { Clock } from "../../platform/process/clock.ts";
import { createLog } from "../../platform/process/log.ts";
import { type Call, decodeCall } from "../calls/call.ts";
import { createJobStates, type JobStates } from "./job-states.ts";

const [a, b] = [jobNamed("a"), jobNamed("b")];
const minuteMs = 60_000;
let nowMs = 1_000_000_000;
const log = createLog("test", "silent");
const clock: Clock = { nowMs: () => nowMs, monotonicMs: () => nowMs, after: () => () => undefined };

const callOf = (generation: number, trigger: ExecutionTrigger = ExecutionTrigger.SCHEDULE) =>
  decodeCall(toBinary(DueEntrySchema, create(DueEntrySchema, { jobId: a, generation, url: "http://old/", trigger })));

interface Event {
  generation: number;
  timingGeneration?: number;
  effectiveFromMs?: number;
  deleted?: boolean;
  state?: JobState;
  pausedGeneration?: number;
  /** Generation and beginning of each. */
  earlier?: readonly (readonly [number, number])[];
}

const eventOf = (fields: Event) => {
  const { generation, timingGeneration = 1, effectiveFromMs = 0, deleted = false, state = JobState.ACTIVE } = fields;
  const { pausedGeneration = 0, earlier = [] } = fields;
  const job = { jobId: a, generation, state, apiEndpoint: "http://new/" };
  const event = create(JobEventSchema, {
    jobId: a,
    generation,
    timingGeneration,
    effectiveFromMs: BigInt(effectiveFromMs),
    deleted,
    ...(deleted ? {} : { job }),
    pausedGeneration,
    earlier: earlier.map(([first, beganMs]) => ({ timingGeneration: first, effectiveFromMs: BigInt(beganMs) })),
  });
  return toBinary(JobEventSchema, event);
};

const statesAfter = (...events: Uint8Array[]) => {
  const states = createJobStates({ clock, log });
  for (const event of events) states.note(a, event);
  return states;
};

const second = 1_000;
const judge = (states: JobStates, call: Call, started: boolean, at = second) =>
  states.judge({ call, second: at, started });

describe("job states", () => {
  it("remember nothing of a job that was only created", () => {
    expect(statesAfter(eventOf({ generation: 1 })).empty()).toBe(true);
  });

  it("stop a paused and a deleted job, and an attempt of it that is to be repeated", () => {
    const paused = statesAfter(eventOf({ generation: 2, timingGeneration: 2, state: JobState.PAUSED }));
    const deleted = statesAfter(eventOf({ generation: 2, deleted: true }));
    for (const started of [false, true]) {
      expect(judge(paused, callOf(1), started)).toEqual({ kind: "skip", reason: "JOB_PAUSED" });
      expect(judge(deleted, callOf(1), started)).toEqual({ kind: "skip", reason: "JOB_DELETED" });
    }
  });

  it("run a paused job by hand, but not a deleted one", () => {
    const manual = callOf(1, ExecutionTrigger.MANUAL);
    const paused = statesAfter(eventOf({ generation: 2, timingGeneration: 2, state: JobState.PAUSED }));
    expect(judge(paused, manual, false)).toEqual({ kind: "fire", call: manual });
    const deleted = statesAfter(eventOf({ generation: 2, deleted: true }));
    expect(judge(deleted, manual, false)).toEqual({ kind: "skip", reason: "JOB_DELETED" });
  });

  it("leave the occurrences of a changed schedule to the new one, and let what has begun go on", () => {
    const states = statesAfter(eventOf({ generation: 3, timingGeneration: 2 }));
    expect(judge(states, callOf(1), false)).toEqual({ kind: "skip", reason: "JOB_CHANGED" });
    expect(judge(states, callOf(1), true)).toMatchObject({ kind: "fire", call: { origin: "http://new" } });
    // Published under the new timing already.
    expect(judge(states, callOf(2), false)).toMatchObject({ kind: "fire", call: { origin: "http://new" } });
  });

  it("leave what was due before the change to the timing that it was published under", () => {
    const states = statesAfter(eventOf({ generation: 2, timingGeneration: 2, effectiveFromMs: 1_000_000 }));
    expect(judge(states, callOf(1), false, 999)).toMatchObject({ kind: "fire", call: { origin: "http://new" } });
    expect(judge(states, callOf(1), false, 1_000)).toMatchObject({ kind: "fire" });
    expect(judge(states, callOf(1), false, 1_001)).toEqual({ kind: "skip", reason: "JOB_CHANGED" });
  });

  it("judge by the first of several changes, since each ended the timing before it", () => {
    const states = statesAfter(
      eventOf({ generation: 2, timingGeneration: 2, effectiveFromMs: 1_000_000 }),
      eventOf({ generation: 3, timingGeneration: 2, effectiveFromMs: 1_000_000 }),
      eventOf({ generation: 4, timingGeneration: 4, effectiveFromMs: 2_000_000 }),
    );
    expect(judge(states, callOf(1), false, 1_500)).toEqual({ kind: "skip", reason: "JOB_CHANGED" });
    expect(judge(states, callOf(2), false, 1_500)).toMatchObject({ kind: "fire" });
    expect(judge(states, callOf(3), false, 1_500)).toMatchObject({ kind: "fire" });
    expect(judge(states, callOf(3), false, 2_001)).toEqual({ kind: "skip", reason: "JOB_CHANGED" });
  });

  it("owe nothing of before a pause, nor of the pause, once the job is resumed; what had begun goes on", () => {
    const resumed = eventOf({ generation: 3, timingGeneration: 3, effectiveFromMs: 2_000_000, pausedGeneration: 2 });
    const states = statesAfter(resumed);
    for (const at of [1, 1_999, 2_001]) {
      expect(judge(states, callOf(1), false, at), String(at)).toEqual({ kind: "skip", reason: "JOB_PAUSED" });
    }
    expect(judge(states, callOf(1), true, 1_000)).toMatchObject({ kind: "fire", call: { origin: "http://new" } });
    expect(judge(states, callOf(2), false, 2_000)).toMatchObject({ kind: "fire" });
    const manual = callOf(1, ExecutionTrigger.MANUAL);
    expect(judge(states, manual, false)).toEqual({ kind: "fire", call: manual });
  });

  it("take the end of a job for no change: what was published of it is called", () => {
    const ended = toBinary(JobEventSchema, create(JobEventSchema, { jobId: a, generation: 2, ended: true }));
    expect(judge(statesAfter(ended), callOf(1), false)).toMatchObject({ kind: "fire" });
    const retargeted = statesAfter(eventOf({ generation: 2 }), ended);
    expect(judge(retargeted, callOf(1), false)).toMatchObject({ kind: "fire", call: { origin: "http://new" } });
  });

  it("know from the last event alone where each timing before it began", () => {
    const states = statesAfter(
      eventOf({
        generation: 5,
        timingGeneration: 4,
        effectiveFromMs: 3_000_000,
        earlier: [
          [2, 1_000_000],
          [3, 2_000_000],
        ],
      }),
    );
    expect(judge(states, callOf(1), false, 1_000)).toMatchObject({ kind: "fire" });
    expect(judge(states, callOf(1), false, 1_001)).toEqual({ kind: "skip", reason: "JOB_CHANGED" });
    expect(judge(states, callOf(2), false, 2_000)).toMatchObject({ kind: "fire" });
    expect(judge(states, callOf(2), false, 2_001)).toEqual({ kind: "skip", reason: "JOB_CHANGED" });
    expect(judge(states, callOf(3), false, 3_001)).toEqual({ kind: "skip", reason: "JOB_CHANGED" });
    expect(judge(states, callOf(4), false, 3_001)).toMatchObject({ kind: "fire" });
  });

  it("remember the last of very many changes, and then rather fire than lose", () => {
    const changes = Array.from({ length: 100 }, (_, i) =>
      eventOf({ generation: i + 2, timingGeneration: i + 2, effectiveFromMs: (i + 1) * 1_000_000 }),
    );
    const states = statesAfter(...changes);
    expect(judge(states, callOf(100), false, 100_001)).toEqual({ kind: "skip", reason: "JOB_CHANGED" });
    expect(judge(states, callOf(1), false, 37_000)).toMatchObject({ kind: "fire" });
    expect(judge(states, callOf(1), false, 37_001)).toEqual({ kind: "skip", reason: "JOB_CHANGED" });
  });

  it.each([
    [
      "that has another job's id",
      toBinary(JobEventSchema, create(JobEventSchema, { jobId: b, generation: 5, deleted: true })),
    ],
    ["whose id is none", Buffer.from("0a036162631005", "hex")],
    ["that is cut short", eventOf({ generation: 5, timingGeneration: 5 }).subarray(0, -3)],
    ["that is none", Buffer.from("ffffffff", "hex")],
    ["with junk behind its generation", Buffer.concat([Buffer.from("1005", "hex"), Buffer.from("ffffff", "hex")])],
  ])("fire as published on an event %s, and go on", (_, event) => {
    const states = statesAfter(event);
    const call = callOf(1);
    expect(judge(states, call, false)).toEqual({ kind: "fire", call });
    states.note(a, eventOf({ generation: 6, deleted: true }));
    expect(judge(states, call, false)).toEqual({ kind: "skip", reason: "JOB_DELETED" });
  });

  it("fire as published when the entry is as new as the change", () => {
    const states = statesAfter(eventOf({ generation: 2, state: JobState.PAUSED, timingGeneration: 2 }));
    const call = callOf(2);
    expect(judge(states, call, false)).toEqual({ kind: "fire", call });
  });

  it("keep the newest change, in whatever order they are read", () => {
    const states = statesAfter(eventOf({ generation: 3, deleted: true }), eventOf({ generation: 2 }));
    expect(judge(states, callOf(1), false)).toEqual({ kind: "skip", reason: "JOB_DELETED" });
  });

  it("keep large changes of many jobs for seconds, and from then on no more of them than there is memory for", () => {
    const states = createJobStates({ clock, log }, 64 * 1024);
    states.markFollowed();
    nowMs += minuteMs;
    const change = (jobs: readonly string[]) => {
      for (const jobId of jobs) {
        const job = { jobId, generation: 2, http: { body: "x".repeat(1_000) } };
        states.note(jobId, toBinary(JobEventSchema, create(JobEventSchema, { jobId, generation: 2, job })));
      }
    };
    const known = (jobs: readonly string[]) => jobs.filter((jobId) => states.newest(jobId) === 2).length;
    const [first, second] = [jobsNamed("f", 70), jobsNamed("g", 70)];
    const notedMs = nowMs;
    change(first);
    nowMs += 4_999;
    change(second);
    // Each is more than there is memory for, and none is old enough.
    expect([known(first), known(second)]).toEqual([70, 70]);
    expect(states.completeSinceMs()).toBeLessThan(notedMs);
    nowMs += 4_999;
    change([a]);
    expect([known(first), known(second)]).toEqual([0, 70]);
    expect(states.completeSinceMs()).toBeGreaterThanOrEqual(notedMs);
    nowMs += 1;
    change([b]);
    expect(known(second)).toBeGreaterThan(50);
    expect(known(second)).toBeLessThan(65);
  });

  it("do not take what was asked for and forgotten for changes that were missed, unless they came as changes too", () => {
    const states = createJobStates({ clock, log }, 0);
    states.markFollowed();
    nowMs += minuteMs;
    const notedMs = nowMs;
    const isMissed = () =>
      [states.completeSinceMs(), states.followedSinceMs()].map((sinceMs) => sinceMs > nowMs - 5_001);
    const forget = () => {
      nowMs += 5_000;
      states.noteRead(b, eventOf({ generation: nowMs }));
    };
    states.noteRead(a, eventOf({ generation: 2 }));
    forget();
    expect([states.newest(a), ...isMissed()]).toEqual([0, true, false]);
    expect(states.completeSinceMs()).toBeGreaterThanOrEqual(notedMs);
    forget();
    for (const noted of [
      [states.noteRead, states.note],
      [states.note, states.noteRead],
    ]) {
      for (const [i, note] of noted.entries()) note(a, eventOf({ generation: 2 + i }));
      forget();
      expect([states.newest(a), ...isMissed()]).toEqual([0, true, true]);
      forget();
    }
    states.noteRead(a, eventOf({ generation: 2 }));
    states.note(a, eventOf({ generation: 2 }));
    forget();
    expect([states.newest(a), ...isMissed()]).toEqual([0, true, true]);
  });

  it("say how far back they reach, also when old changes are forgotten or new ones missed", () => {
    const states = createJobStates({ clock, log });
    expect(states.completeSinceMs()).toBe(Number.POSITIVE_INFINITY);
    states.markFollowed();
    const followedMs = states.completeSinceMs();
    expect(followedMs).toBeGreaterThanOrEqual(nowMs);
    states.note(a, eventOf({ generation: 2 }));
    states.markLost();
    expect(states.completeSinceMs()).toBe(Number.POSITIVE_INFINITY);
    expect(states.hasNewer(callOf(1), 0)).toBe(true);
    expect([states.newest(a), states.newest(b)]).toEqual([2, 0]);
    // A manual run stays what it was made of, and is judged by a change once.
    expect([states.hasNewer(callOf(1), 1), states.hasNewer(callOf(1), 2)]).toEqual([true, false]);
    states.markFollowed();
    const notedMs = nowMs;
    nowMs += 11 * minuteMs;
    states.note(b, eventOf({ generation: 2 }));
    expect(states.hasNewer(callOf(1), 0)).toBe(false);
    expect(states.completeSinceMs()).toBeGreaterThanOrEqual(notedMs);
  });
});
