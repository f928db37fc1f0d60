import { describe, expect, it } from "vitest";
import type { Position } from "../../../domain/identity/position.ts";
import { OpenIndex } from "./open-index.ts";

const newestFirst = (a: Position, b: Position) => b.second - a.second || (a.run < b.run ? 1 : -1);

/** Seconds that mostly grow, as results come; some are late, by up to a few hundred. */
const secondOf = (row: number) => Math.floor(row / 20) + ((row * 7_919) % 13 === 0 ? -((row * 31) % 300) : 0);

describe("the index of the open segment", () => {
  it("has each job's rows newest first, also past its first capacity of rows and of jobs", () => {
    const index = new OpenIndex();
    const jobs = 6_000;
    const rows = Array.from({ length: 30_000 }, (_, row) => ({
      jobKey: 1 + ((row * 104_729) % jobs),
      second: secondOf(row),
      run: row % 17 === 0 ? `m${row}` : "",
    }));
    const byJob = Map.groupBy(rows, ({ jobKey }) => jobKey);
    for (const { jobKey, ...position } of rows) index.add(jobKey, position);
    expect(index.rowCount).toBe(rows.length);
    expect(index.minSecond).toBe(rows.reduce((min, { second }) => Math.min(min, second), Infinity));
    expect(index.maxSecond).toBe(rows.reduce((max, { second }) => Math.max(max, second), -Infinity));
    for (const [jobKey, own] of byJob) {
      if (jobKey % 5 !== 0) continue;
      const expected = own.map(({ second, run }) => ({ second, run })).sort(newestFirst);
      expect([...index.newestFirst(jobKey)]).toEqual(expected);
      expect([...index.newestFirst(jobKey, expected[1])]).toEqual(expected.slice(2));
    }
    expect([...index.newestFirst(jobs + 1)]).toEqual([]);
    expect([...index.newestFirst(1_000_000)]).toEqual([]);
  });

  it("has the keys of its jobs in order, and takes no room for those between", () => {
    const index = new OpenIndex();
    const keys = [40_000_000_000, 3, 256, 255, 700_000, 4];
    for (const jobKey of keys) index.add(jobKey, { second: jobKey, run: "" });
    const sorted = keys.toSorted((a, b) => a - b);
    expect([...index.jobKeys(0)]).toEqual(sorted);
    expect([...index.jobKeys(255)]).toEqual(sorted.slice(3));
    for (const jobKey of keys) expect([...index.newestFirst(jobKey)]).toEqual([{ second: jobKey, run: "" }]);
  });

  it("is empty at first", () => {
    const index = new OpenIndex();
    expect([...index.newestFirst(1)]).toEqual([]);
    expect([index.rowCount, index.minSecond, index.maxSecond]).toEqual([0, Infinity, -Infinity]);
  });
});
