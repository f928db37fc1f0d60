import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { JobEventSchema } from "../../gen/carillon/v1/events_pb.ts";
import { JobSchema } from "../../gen/carillon/v1/job_pb.ts";
import { jobNamed } from "../../test/support/job-ids.ts";
import { seeds, WireValues } from "../../test/support/wire-values.ts";
import {
  type EarlierTiming,
  endedEventId,
  generationOf,
  isTombstone,
  type JobEvent,
  jobEventId,
  readJobEvent,
  timingsOf,
  writeJobEvent,
} from "./job-event.ts";

const eventOf = (values: WireValues): JobEvent => {
  const deleted = values.dice.chance(0.2);
  const jobId = values.jobId();
  const job = () => create(JobSchema, { jobId, schedule: values.text(), labels: { [values.text()]: values.text() } });
  return {
    jobId,
    generation: values.uint32(),
    deleted,
    job: deleted ? undefined : job(),
    timingGeneration: values.uint32(),
    effectiveFromMs: values.instantMs(),
    timingSequence: values.uint64(),
    earlier: values.list(() => earlierOf(values)),
    pausedGeneration: values.uint32(),
    ended: values.bool(),
  };
};

const earlierOf = (values: WireValues): EarlierTiming => {
  const second = () => (values.bool() ? values.second() : undefined);
  return {
    timingGeneration: values.uint32(),
    schedule: values.text(),
    timeZone: values.text(),
    startSecond: second(),
    endSecond: second(),
    effectiveFromMs: values.instantMs(),
    untilMs: values.instantMs(),
    timingSequence: values.uint64(),
  };
};

const written = (event: JobEvent) => writeJobEvent({ ...event, job: event.job && toBinary(JobSchema, event.job) });

describe("a job event", () => {
  it.each(seeds)("is the same to the generated code (seed %i)", (seed) => {
    const event = eventOf(new WireValues(seed));
    const generated = create(JobEventSchema, {
      ...event,
      effectiveFromMs: BigInt(event.effectiveFromMs),
      timingSequence: BigInt(event.timingSequence),
      earlier: event.earlier.map(({ startSecond, endSecond, ...timing }) => ({
        ...timing,
        ...(startSecond !== undefined && { startSecond: BigInt(startSecond) }),
        ...(endSecond !== undefined && { endSecond: BigInt(endSecond) }),
        effectiveFromMs: BigInt(timing.effectiveFromMs),
        untilMs: BigInt(timing.untilMs),
        timingSequence: BigInt(timing.timingSequence),
      })),
    });
    expect(fromBinary(JobEventSchema, written(event))).toEqual(generated);
    expect(readJobEvent(toBinary(JobEventSchema, generated))).toEqual(event);
  });

  it.each(seeds.slice(0, 50))("tells its generation and timings without being read (seed %i)", (seed) => {
    const event = eventOf(new WireValues(seed));
    const { generation, timingGeneration, effectiveFromMs, pausedGeneration, ended } = event;
    expect(generationOf(written(event))).toBe(generation);
    expect(isTombstone(written(event))).toBe(event.deleted);
    const own = timingGeneration === 0 ? [] : [{ generation: timingGeneration, effectiveFromMs }];
    const earlier = event.earlier.map((timing) => ({
      generation: timing.timingGeneration,
      effectiveFromMs: timing.effectiveFromMs,
    }));
    expect(timingsOf(written(event))).toEqual({ timings: [...earlier, ...own], pausedGeneration, ended });
  });

  it("cannot be read from other bytes", () => {
    expect(() => readJobEvent(new Uint8Array([255, 255]))).toThrow();
  });

  it("cannot be read when its job has an id of another kind, none, or two", () => {
    const job = create(JobSchema, { jobId: jobNamed("a") });
    const event = { ...eventOf(new WireValues(1)), deleted: false, jobId: job.jobId, job };
    expect(readJobEvent(written(event))).toEqual(event);
    for (const jobId of ["", "job", job.jobId.toUpperCase()]) {
      const same = { ...event, jobId, job: create(JobSchema, { jobId }) };
      expect(() => readJobEvent(written(same)), jobId).toThrow(/is no job id/);
    }
    expect(() => readJobEvent(written({ ...event, jobId: jobNamed("b") }))).toThrow(/with the job/);
  });

  it("cannot be read with an instant that no clock shows", () => {
    for (const effectiveFromMs of [-1, 1e15]) {
      const event = { ...eventOf(new WireValues(1)), effectiveFromMs };
      expect(() => readJobEvent(written(event)), String(effectiveFromMs)).toThrow(/out of range/);
    }
  });

  it("is named anew with each generation, and for each stream", () => {
    const ids = [jobEventId("a", 1, 1), jobEventId("a", 2, 1), jobEventId("a", 1, 2), jobEventId("b", 1, 1)];
    expect(new Set(ids).size).toBe(4);
    expect(jobEventId("a", 1, 1)).toBe("a:1:1");
    expect(ids).not.toContain(endedEventId("a", 1, 1));
  });
});
