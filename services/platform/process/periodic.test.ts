import { describe, expect, it } from "vitest";
import { createPeriodic } from "./periodic.ts";

const everyMs = 1_000;

/** Work that the test ends when it says so, under a clock whose timers it fires. */
function setUp() {
  const timers = new Set<() => void>();
  const clock = {
    nowMs: () => 0,
    monotonicMs: () => 0,
    after(delayMs: number, callback: () => void) {
      expect(delayMs).toBe(everyMs);
      const fire = () => {
        timers.delete(fire);
        callback();
      };
      timers.add(fire);
      return () => void timers.delete(fire);
    },
  };
  const works: (PromiseWithResolvers<void> & { stopped: () => boolean })[] = [];
  const errors: unknown[] = [];
  const periodic = createPeriodic({ clock, everyMs, onError: (error) => errors.push(error) }, (stopped) => {
    const work = { ...Promise.withResolvers<void>(), stopped };
    works.push(work);
    return work.promise;
  });
  const pass = async () => {
    for (const fire of [...timers]) fire();
    await new Promise(setImmediate);
  };
  return { periodic, timers, works, errors, pass };
}

describe("periodic work", () => {
  it("begins a span after the start, and again a span after it was done, also when it failed", async () => {
    const { periodic, timers, works, errors, pass } = setUp();
    await periodic.start();
    await periodic.start();
    expect(works).toHaveLength(0);
    await pass();
    expect([works.length, timers.size]).toEqual([1, 0]);
    works[0]?.reject("no");
    await new Promise(setImmediate);
    expect([errors, timers.size]).toEqual([["no"], 1]);
    await pass();
    expect(works).toHaveLength(2);
  });

  it("is told of a stop, which waits for it, and does not begin again", async () => {
    const { periodic, timers, works, pass } = setUp();
    await periodic.start();
    await pass();
    let over = false;
    const stopping = periodic.stop().then(() => {
      over = true;
    });
    await new Promise(setImmediate);
    expect([works[0]?.stopped(), over]).toEqual([true, false]);
    works[0]?.resolve();
    await stopping;
    await periodic.start();
    expect(timers.size).toBe(0);
  });
});
