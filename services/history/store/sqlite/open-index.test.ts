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

  it("is empty at first", () => {
    const index = new OpenIndex();
    expect([...index.newestFirst(1)]).toEqual([]);
    expect([index.rowCount, index.minSecond, index.maxSecond]).toEqual([0, Infinity, -Infinity]);
  });
});
