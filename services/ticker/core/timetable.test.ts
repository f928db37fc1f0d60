import { describe, expect, it } from "vitest";
import { QueueBySecond } from "./queue-by-second.ts";
import { type Occurrences, Timetable } from "./timetable.ts";

function every(step: number, counter?: { calls: number }): Occurrences {
  return {
    key: `every-${step}`,
    nextAfter(second) {
      if (counter) counter.calls++;
      return (Math.floor(second / step) + 1) * step;
    },
  };
}

function job(jobId: string, occurrences: Occurrences, effectiveFromMs = 0) {
  return { jobId, entry: new Uint8Array(1), generation: 1, timingGeneration: 1, effectiveFromMs, occurrences };
}

const names = (taken: ReturnType<Timetable["take"]>) => taken?.slots.map(({ jobId }) => jobId).sort();

describe("the timetable", () => {
  it("hands out each due second with its jobs, and passes over the empty ones", () => {
    const table = new Timetable(100);
    table.put(job("a", every(10)));
    table.put(job("b", every(15)));
    const seen = Array.from({ length: 4 }, () => {
      const taken = table.take();
      return [taken?.second, names(taken)];
    });
    expect(seen).toEqual([
      [105, ["b"]],
      [110, ["a"]],
      [120, ["a", "b"]],
      [130, ["a"]],
    ]);
    expect(table.horizon).toBe(130);
  });

  it("computes an occurrence once for all jobs that share a schedule", () => {
    const counter = { calls: 0 };
    const table = new Timetable(0);
    for (let i = 0; i < 1_000; i++) table.put(job(`job-${i}`, every(5, counter)));
    table.take();
    expect(counter.calls).toBe(2);
  });

  it("holds an occurrence due only strictly after the timing took effect", () => {
    const table = new Timetable(9);
    table.put(job("on-it", every(1), 10_000));
    table.put(job("just-before", every(1), 9_999));
    expect(names(table.take())).toEqual(["just-before"]);
    expect(names(table.take())).toEqual(["just-before", "on-it"]);
  });

  it("forgets a job that is taken out, and its schedule with the last one", () => {
    const table = new Timetable(0);
    table.put(job("a", every(7)));
    table.put(job("b", every(7)));
    table.remove("a");
    expect(names(table.take())).toEqual(["b"]);
    table.remove("b");
    expect(table.nextSecond()).toBeUndefined();
    expect(table.size).toBe(0);
  });

  it("never skips a second in which something is due", () => {
    const table = new Timetable(0);
    table.put(job("a", every(7)));
    table.skipTo(6);
    expect(() => table.skipTo(7)).toThrow("would be skipped");
  });
});

describe("a queue by second", () => {
  it("returns seconds in order, whatever the order in which they came and went", () => {
    const queue = new QueueBySecond<number>();
    const model = new Map<number, Set<number>>();
    for (let i = 0; i < 2_000; i++) {
      const second = (i * 7_919) % 503;
      queue.add(second, i);
      model.set(second, (model.get(second) ?? new Set()).add(i));
      const gone = (i * 31) % (i + 1);
      const at = (gone * 7_919) % 503;
      queue.remove(at, gone);
      model.get(at)?.delete(gone);
    }
    const expected = [...model].filter(([, items]) => items.size > 0).sort(([a], [b]) => a - b);
    expect(queue.size).toBe(expected.reduce((sum, [, items]) => sum + items.size, 0));
    for (const [second, items] of expected) expect(queue.take()).toEqual({ second, items });
    expect(queue.take()).toBeUndefined();
  });
});
