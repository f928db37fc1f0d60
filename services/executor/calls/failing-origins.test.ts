import { describe, expect, it } from "vitest";
import { createSchedulerRig, width } from "../../../test/support/scheduler-rig.ts";
import type { Ending } from "./origin.ts";

describe("an origin whose calls all fail", () => {
  /** It failed so many times in a row. */
  const fail = (rig: ReturnType<typeof createSchedulerRig>, origin: string, times = 8, ending: Ending = "refused") => {
    for (let i = 0; i < times; i++) {
      rig.submit(origin, 1);
      rig.end(rig.of(origin)[0], ending);
    }
  };
  /** Ends each of its calls as soon as it is made, for a second; the number of them. */
  const failForASecond = (rig: ReturnType<typeof createSchedulerRig>, origin: string, load: number, ending: Ending) => {
    let calls = 0;
    rig.submit(origin, 20_000);
    for (let ms = 0; ms < 1_000; ms += 10) {
      rig.tick(10, load);
      for (let item = rig.of(origin)[0]; item; item = rig.of(origin)[0], calls++) rig.end(item, ending);
    }
    return calls;
  };

  it("has few in flight, and as many as others once one is answered", () => {
    const rig = createSchedulerRig();
    fail(rig, "a", 7);
    rig.submit("a", 20);
    expect(rig.of("a")).toHaveLength(width.base);
    rig.end(rig.of("a")[0], "refused");
    for (const item of [...rig.of("a")]) rig.end(item, "refused");
    rig.tick(10);
    expect(rig.of("a")).toHaveLength(width.least);
    rig.end(rig.of("a")[0], "succeeded");
    expect(rig.of("a").length).toBeGreaterThan(width.least);
  });

  it("has as many connections as others where it answers, if only with failures", () => {
    const rig = createSchedulerRig();
    fail(rig, "a", 8, "failed");
    rig.tick(10);
    rig.submit("a", 20);
    expect(rig.of("a")).toHaveLength(width.base);
    expect(rig.scheduler.wantedOfLane("a", "all")).toBe(width.base * 2);
  });

  it("does not count as one while now and then a call succeeds", () => {
    const rig = createSchedulerRig();
    for (let i = 0; i < 30; i++) {
      rig.submit("a", 1);
      rig.end(rig.of("a")[0], i % 8 === 7 ? "succeeded" : i % 2 ? "failed" : "refused");
    }
    rig.submit("a", 20);
    // It did not have to ask: no time has passed in which there was any to spare.
    expect(rig.of("a")).toHaveLength(width.base);
  });

  it.each<Ending>([
    "refused",
    "failed",
  ])("makes them in the time that the others leave, a hundred a second where they leave none: %s", (ending) => {
    const rig = createSchedulerRig();
    fail(rig, "a", 8, ending);
    expect(failForASecond(rig, "a", 0, ending)).toBeGreaterThan(1_000);
    for (let i = 0; i < 20; i++) failForASecond(rig, "a", 1, ending);
    const calls = failForASecond(rig, "a", 1, ending);
    expect(calls).toBeGreaterThan(50);
    expect(calls).toBeLessThan(500);
  });

  it("has it make way for a burst of the others", () => {
    const rig = createSchedulerRig({ maxInFlight: 100_000, width: { least: 2, base: 50_000, most: 50_000 } });
    rig.prove("good");
    fail(rig, "bad");
    rig.tick(10);
    rig.submit("good", 5_000);
    rig.submit("bad", 500);
    for (const item of [...rig.of("bad")]) rig.end(item, "refused");
    rig.tick(10);
    expect(rig.of("good")).toHaveLength(5_000);
    expect(rig.of("bad").length).toBeLessThanOrEqual(2);
  });

  it("serves several such origins in turn", () => {
    const rig = createSchedulerRig();
    const origins = ["a", "b", "c", "d"];
    for (const origin of origins) fail(rig, origin);
    const calls = new Map<string, number>();
    for (let ms = 0; ms < 20_000; ms += 10) {
      if (ms % 1_000 === 0) for (const origin of origins) rig.submit(origin, 1_000);
      rig.tick(10, 1);
      for (const item of [...rig.inFlight]) {
        calls.set(item.call.origin, (calls.get(item.call.origin) ?? 0) + 1);
        rig.end(item, "refused");
      }
    }
    const counts = origins.map((origin) => calls.get(origin) ?? 0);
    expect(Math.max(...counts)).toBeLessThan(Math.min(...counts) * 1.2);
  });

  it("moves what has waited for 3 s, also while this process is what is slow, and takes some of its lane", () => {
    const rig = createSchedulerRig();
    fail(rig, "a");
    rig.submit("a", 2_000);
    rig.pass(2_500, true);
    expect(rig.moved).toHaveLength(0);
    rig.pass(1_500, true);
    expect(rig.moved.length).toBeGreaterThan(1_000);
    expect(rig.scheduler.wantedOfLane("a", "all")).toBe(width.least * 2);
  });

  it("finds that it hangs when its calls are not even refused any more", () => {
    const rig = createSchedulerRig();
    fail(rig, "a");
    rig.submit("a", 1);
    rig.pass(6_000);
    expect(rig.scheduler.submit({ ...rig.itemOf("a", "x") }, 0)).toBe(true);
    expect(rig.scheduler.wantedOfLane("a", "all")).toBeLessThanOrEqual(1);
  });

  it("is none any more once it answers: what it is called then comes before the calls of those that fail", () => {
    const rig = createSchedulerRig({ maxInFlight: 100_000, width: { least: 2, base: 50_000, most: 50_000 } });
    fail(rig, "good");
    rig.tick(10);
    rig.submit("good", 1);
    rig.end(rig.of("good")[0]);
    fail(rig, "bad", 8, "failed");
    rig.tick(10);
    rig.submit("good", 5_000);
    rig.submit("bad", 500);
    for (const item of [...rig.of("bad")]) rig.end(item, "failed");
    rig.tick(10);
    expect(rig.of("good")).toHaveLength(5_000);
    expect(rig.of("bad").length).toBeLessThanOrEqual(2);
  });
});
