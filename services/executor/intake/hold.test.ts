import { describe, expect, it } from "vitest";
import type { Clock } from "../../platform/process/clock.ts";
import { createHold } from "./hold.ts";

/** Timers fire a millisecond early against the wall clock, as real ones may. */
function earlyClock(startMs: number) {
  let nowMs = startMs;
  let timers: { atMs: number; callback: () => void }[] = [];
  const clock: Clock = {
    nowMs: () => nowMs,
    monotonicMs: () => nowMs,
    after(delayMs, callback) {
      const timer = { atMs: nowMs + Math.max(1, delayMs - 1), callback };
      timers.push(timer);
      return () => {
        timers = timers.filter((one) => one !== timer);
      };
    },
  };
  return {
    clock,
    set: (ms: number) => {
      nowMs = ms;
    },
    advanceTo(ms: number) {
      for (;;) {
        const next = timers.toSorted((a, b) => a.atMs - b.atMs)[0];
        if (!next || next.atMs > ms) break;
        timers = timers.filter((one) => one !== next);
        nowMs = Math.max(nowMs, next.atMs);
        next.callback();
      }
      nowMs = ms;
    },
    timers: () => timers.length,
  };
}

describe("a hold", () => {
  const start = 1_000_000;

  it("releases at the instant and never before it", () => {
    const time = earlyClock(start);
    const released: [string, number][] = [];
    const hold = createHold<string>(time.clock, (items) => {
      for (const item of items) released.push([item, time.clock.nowMs()]);
    });
    hold.add(start + 900, "b");
    hold.add(start + 300, "a");
    hold.add(start + 900, "c");
    time.advanceTo(start + 2_000);
    expect(released).toEqual([
      ["a", start + 300],
      ["b", start + 900],
      ["c", start + 900],
    ]);
    expect(time.timers()).toBe(0);
  });

  it("releases at once what is past", () => {
    const time = earlyClock(start);
    const released: string[][] = [];
    const hold = createHold<string>(time.clock, (items) => released.push(items));
    hold.add(start, "now");
    hold.add(start - 5_000, "late");
    expect(released).toEqual([["now"], ["late"]]);
  });

  it("follows a wall clock that is set back or forward", () => {
    const time = earlyClock(start);
    const released: string[] = [];
    const hold = createHold<string>(time.clock, (items) => released.push(...items));
    hold.add(start + 1_000, "a");
    time.set(start - 500);
    time.advanceTo(start + 600);
    expect(released).toEqual([]);
    time.set(start + 5_000);
    time.advanceTo(start + 5_300);
    expect(released).toEqual(["a"]);
  });

  it("keeps time for what is added while it releases", () => {
    const time = earlyClock(start);
    const released: string[] = [];
    const hold = createHold<string>(time.clock, (items) => {
      released.push(...items);
      if (items.includes("a")) hold.add(start + 200, "again");
    });
    hold.add(start + 100, "a");
    time.advanceTo(start + 500);
    expect(released).toEqual(["a", "again"]);
  });

  it("gives back what it still holds", () => {
    const time = earlyClock(start);
    const released: string[] = [];
    const hold = createHold<string>(time.clock, (items) => released.push(...items));
    hold.add(start + 100, "a");
    hold.add(start + 200, "b");
    expect(hold.drain()).toEqual(["a", "b"]);
    time.advanceTo(start + 500);
    expect(released).toEqual([]);
  });
});
