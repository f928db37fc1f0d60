import { describe, expect, it } from "vitest";
import { createJobIds, isJobId } from "./job-id.ts";
import { partitionCount, partitionOf } from "./partition.ts";

const clockOf = (times: number[]) => () => times.shift() ?? 0;

describe("job ids", () => {
  it("are ULIDs in lower case", () => {
    const next = createJobIds({ nowMs: () => 1_700_000_000_000, random: Math.random });
    const id = next();
    expect(id).toHaveLength(26);
    expect(isJobId(id)).toBe(true);
    expect(id.slice(0, 10)).toBe("01hf7yat00");
  });

  it("increase within a millisecond and when the clock goes back", () => {
    const next = createJobIds({ nowMs: clockOf([5, 5, 5, 3, 4, 6]), random: Math.random });
    const ids = Array.from({ length: 6 }, next);
    expect(ids.toSorted()).toEqual(ids);
    expect(new Set(ids).size).toBe(6);
  });

  it("carry over when the last characters are used up", () => {
    let draws = 0;
    const next = createJobIds({ nowMs: () => 1, random: () => (draws++ % 16 === 0 ? 0 : 0.999) });
    expect(next().slice(10)).toBe(`0${"z".repeat(15)}`);
    expect(next().slice(10)).toBe(`1${"0".repeat(15)}`);
  });

  it("spread over all partitions", () => {
    const next = createJobIds({ nowMs: () => 1, random: Math.random });
    const partitions = new Set(Array.from({ length: 2_000 }, () => partitionOf(next())));
    expect(partitions.size).toBe(partitionCount);
  });

  it("are told from other text", () => {
    for (const text of ["", "x", "01HF7YAT00ZZZZZZZZZZZZZZZZ", `8${"0".repeat(25)}`, `0${"u".repeat(25)}`]) {
      expect(isJobId(text), text).toBe(false);
    }
  });
});
