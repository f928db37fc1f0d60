import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { JobEventSchema } from "../../gen/carillon/v1/events_pb.ts";
import { JobSchema } from "../../gen/carillon/v1/job_pb.ts";
import { seeds, WireValues } from "../../test/support/wire-values.ts";
import { generationOf, type JobEvent, jobEventId, readJobEvent, writeJobEvent } from "./job-event.ts";

const eventOf = (values: WireValues): JobEvent => {
  const deleted = values.dice.chance(0.2);
  const job = () =>
    create(JobSchema, { jobId: values.text(), schedule: values.text(), labels: { [values.text()]: values.text() } });
  return {
    jobId: values.text(),
    generation: values.uint32(),
    deleted,
    // The least job of all takes no bytes, and is one all the same.
    job: deleted ? undefined : values.dice.pick([job, () => create(JobSchema)])(),
    timingGeneration: values.uint32(),
    effectiveFromMs: values.instantMs(),
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
    });
    expect(fromBinary(JobEventSchema, written(event))).toEqual(generated);
    expect(readJobEvent(toBinary(JobEventSchema, generated))).toEqual(event);
  });

  it.each(seeds.slice(0, 50))("tells its generation without being read (seed %i)", (seed) => {
    const event = eventOf(new WireValues(seed));
    expect(generationOf(written(event))).toBe(event.generation);
  });

  it("cannot be read from other bytes", () => {
    expect(() => readJobEvent(new Uint8Array([255, 255]))).toThrow();
  });

  it("is named anew with each generation, and for each stream", () => {
    const ids = [jobEventId("a", 1, 1), jobEventId("a", 2, 1), jobEventId("a", 1, 2), jobEventId("b", 1, 1)];
    expect(new Set(ids).size).toBe(4);
    expect(jobEventId("a", 1, 1)).toBe("a:1:1");
  });
});
