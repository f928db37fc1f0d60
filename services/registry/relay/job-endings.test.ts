import { describe, expect, it } from "vitest";
import { jobA, rowOf } from "../../../test/support/registry-store-rows.ts";
import { isOver } from "./job-endings.ts";

const hours = 3_600;
const created = 1_790_000_000;
const last = created + 10 * hours;
const mark = { edition: 3, created: new Date(created * 1000).toISOString(), sequence: 900, rebuiltUpTo: undefined };
const watermark = { second: last + 2 * hours, jobsSequence: 50 };
const row = rowOf(jobA, { lastSecond: last, effectiveFromMs: created * 1000, timingSequence: 50, timingEdition: 3 });

describe("a job is over", () => {
  it("two hours after its last second, by the watermark of its partition", () => {
    expect(isOver(row, watermark, mark)).toBe(true);
    expect(isOver(row, { ...watermark, second: watermark.second - 1 }, mark)).toBe(false);
    expect(isOver(row, undefined, mark)).toBe(false);
    expect(isOver({ ...row, lastSecond: undefined }, watermark, mark)).toBe(false);
  });

  it("when the watermark covers its timing, of this stream or of an earlier one", () => {
    expect(isOver(row, { ...watermark, jobsSequence: 49 }, mark)).toBe(false);
    expect(isOver({ ...row, timingSequence: 0 }, watermark, mark)).toBe(false);
    const earlier = { ...row, timingEdition: 2, timingSequence: 5_000 };
    expect(isOver(earlier, watermark, mark)).toBe(true);
    expect(isOver(earlier, { ...watermark, jobsSequence: 0 }, mark)).toBe(false);
    expect(isOver({ ...earlier, timingSequence: 0 }, watermark, mark)).toBe(false);
  });

  it("when the timings before it owe nothing any more", () => {
    expect(isOver({ ...row, effectiveFromMs: (last + 1) * 1000 }, watermark, mark)).toBe(false);
    expect(isOver({ ...row, effectiveFromMs: last * 1000 }, watermark, mark)).toBe(true);
  });

  it("when the watermark is about the JOBS that there is, and that is whole", () => {
    expect(isOver(row, watermark, { ...mark, rebuiltUpTo: "" })).toBe(false);
    const made = (second: number) => ({ ...mark, created: new Date(second * 1000).toISOString() });
    expect(isOver(row, watermark, made(watermark.second - 60))).toBe(true);
    expect(isOver(row, watermark, made(watermark.second - 59))).toBe(false);
  });
});
