import { describe, expect, it } from "vitest";
import { SpareCalls } from "./spare-calls.ts";

/** Ten seconds, refilled every 10 ms: how many calls those that have to ask got in the last of them. */
function pass(spare: SpareCalls, options: { load: number; othersASecond?: number; asked?: number }): number {
  const { load, othersASecond = 0, asked = Number.POSITIVE_INFINITY } = options;
  let got = 0;
  for (let ms = 0; ms < 10_000; ms += 10) {
    spare.refill(ms);
    if (ms % 250 === 0) spare.adapt(load);
    if (ms % 1_000 === 0) for (let i = 0; i < othersASecond; i++) spare.take(false);
    if (ms === 9_000) got = 0;
    for (let i = 0; i < asked && spare.any(); i++) {
      spare.take(true);
      got++;
    }
  }
  return got;
}

describe("the time that is left for targets that fail at once", () => {
  it("is thousands of calls a second while nothing else is done, and more with time", () => {
    const idle = pass(new SpareCalls(), { load: 0.5 });
    expect(idle).toBeGreaterThan(15_000);
    expect(pass(new SpareCalls(), { load: 0.75 })).toBeLessThan(idle / 1.5);
  });

  it("is one or two hundred calls a second, and not less, while the process is busy", () => {
    const got = pass(new SpareCalls(), { load: 1, othersASecond: 100_000 });
    expect(got).toBeGreaterThanOrEqual(99);
    expect(got).toBeLessThanOrEqual(210);
  });

  it("comes back once the process is idle again", () => {
    const spare = new SpareCalls();
    pass(spare, { load: 1 });
    expect(pass(spare, { load: 0.1 })).toBeGreaterThan(5_000);
  });

  it("is taken by the calls of the others first, and for a tenth of a second at most", () => {
    const spare = new SpareCalls();
    spare.refill(10);
    for (let i = 0; i < 50_000; i++) spare.take(false);
    // What is there in any case.
    for (let i = 0; i < 2; i++) if (spare.any()) spare.take(true);
    expect(spare.any()).toBe(false);
    spare.refill(15);
    expect(spare.any()).toBe(false);
    spare.refill(120);
    let got = 0;
    for (; spare.any(); got++) spare.take(true);
    expect(got).toBeGreaterThan(20);
  });

  it("does not gather for long: what is refilled late goes out in a burst no larger than one of 20 ms", () => {
    const spare = new SpareCalls();
    spare.refill(10);
    spare.refill(60_000);
    let got = 0;
    for (; spare.any(); got++) spare.take(true);
    expect(got).toBeLessThan(200);
  });
});
