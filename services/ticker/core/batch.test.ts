import { describe, expect, it } from "vitest";
import { nextBatch, type Pile } from "./batch.ts";
import { Timetable } from "./timetable.ts";

const always = { key: "always", nextAfter: (second: number) => second + 1 };

function pileOf(jobs: readonly { jobId: string; generation?: number; bytes?: number }[]): {
  pile: Pile;
  table: Timetable;
} {
  const table = new Timetable(9);
  for (const { jobId, generation = 1, bytes = 10 } of jobs) {
    const entry = new Uint8Array(bytes);
    table.put({ jobId, entry, generation, timingGeneration: 1, effectiveFromMs: 0, occurrences: always });
  }
  return { pile: { second: 10, slots: table.take()?.slots ?? [], next: 0 }, table };
}

function batches(pile: Pile, limits: { entries: number; bytes: number }) {
  const all = [];
  for (let batch = nextBatch(pile, limits); batch; batch = nextBatch(pile, limits)) all.push(batch);
  return all;
}

const jobs = (count: number) => Array.from({ length: count }, (_, index) => ({ jobId: `job-${index}` }));
const wide = { entries: 100, bytes: 1_000_000 };

describe("batches", () => {
  it("hold up to the limit of entries, and none is left out", () => {
    const sizes = batches(pileOf(jobs(250)).pile, wide).map(({ entries }) => entries.length);
    expect(sizes).toEqual([100, 100, 50]);
  });

  it("hold up to the limit of bytes; an entry beyond it goes alone", () => {
    const { pile } = pileOf([{ jobId: "a" }, { jobId: "b", bytes: 500 }, { jobId: "c" }, { jobId: "d" }]);
    expect(batches(pile, { entries: 100, bytes: 100 }).map(({ entries }) => entries.length)).toEqual([1, 1, 2]);
  });

  it("leave out a job that is gone by now", () => {
    const { pile, table } = pileOf(jobs(3));
    table.remove("job-1");
    expect(batches(pile, wide).map(({ entries }) => entries.length)).toEqual([2]);
  });

  it("have equal hashes only for equal contents", () => {
    const hash = (list: { jobId: string; generation?: number }[]) => batches(pileOf(list).pile, wide)[0]?.contents;
    expect(hash(jobs(3))).toBe(hash(jobs(3)));
    const others = [
      jobs(2),
      jobs(4),
      jobs(3).toReversed(),
      [...jobs(2), { jobId: "job-2", generation: 2 }],
      [...jobs(2), { jobId: "job-3" }],
    ].map(hash);
    expect(new Set([hash(jobs(3)), ...others]).size).toBe(others.length + 1);
  });
});
