import { describe, expect, it } from "vitest";
import { createSchedulerRig, width } from "../../../test/support/scheduler-rig.ts";

describe("trying origins that do not answer", () => {
  it("leaves a quarter of all places to the others, however long its calls hang on", () => {
    const rig = createSchedulerRig({ maxInFlight: 1_024, width: { least: 8, base: 64, most: 1_024 } });
    const origins = Array.from({ length: 20 }, (_, i) => `hanging-${i}`);
    for (const origin of origins) rig.submit(origin, 10);
    for (let i = 0; i < 60; i++) {
      // One of its lane waits here at a time.
      for (const origin of origins)
        if (rig.scheduler.wantedOfLane(origin, "all") > 0) rig.submit(origin, 1, { lane: "all" });
      rig.pass(5_000);
    }
    for (const origin of origins) expect(rig.of(origin).length).toBeGreaterThan(10);
    expect(rig.inFlight.length).toBeLessThanOrEqual((1_024 * 3) / 4);
    rig.prove("good");
    rig.submit("good", 100);
    expect(rig.of("good")).toHaveLength(64);
  });

  it("gives each its turn, however many there are", () => {
    const rig = createSchedulerRig({ maxInFlight: 8_192, width: { least: 8, base: 64, most: 1_024 } });
    const origins = Array.from({ length: 500 }, (_, i) => `a-${i}`);
    for (const origin of origins) rig.prove(origin);
    // More than those that do not answer may have.
    for (const origin of origins) rig.submit(origin, 10);
    rig.pass(6_000);
    for (const origin of origins) rig.submit(origin, 20, { lane: "all" });
    rig.pass(30_000);
    expect(origins.filter((origin) => rig.of(origin).length === 10)).toEqual([]);
  });

  it("goes on trying one for as long as what it is tried with ends in vain", () => {
    const rig = createSchedulerRig();
    const origins = Array.from({ length: 5 }, (_, i) => `a-${i}`);
    for (const origin of origins) rig.prove(origin);
    for (const origin of origins) rig.submit(origin, width.base);
    rig.pass(6_000);
    let tries = 0;
    for (let i = 0; i < 20; i++) {
      rig.submit("a-0", 1, { lane: "all" });
      rig.pass(31_000);
      if (rig.of("a-0").length === width.base) continue;
      tries++;
      rig.end(rig.of("a-0").at(-1), "unanswered");
    }
    expect(tries).toBe(20);
  });

  it("tries one that was silent, too, when nothing of it is in flight any more", () => {
    const rig = createSchedulerRig();
    rig.prove("a");
    rig.submit("a", 1);
    rig.pass(1_500);
    rig.end(rig.of("a")[0], "unanswered");
    // Others take all that is for those that do not answer.
    for (let i = 0; i < 5; i++) rig.prove(`hanging-${i}`);
    for (let i = 0; i < 5; i++) rig.submit(`hanging-${i}`, width.base);
    rig.pass(6_000);
    rig.submit("a", 1, { lane: "all" });
    rig.pass(6_000);
    expect(rig.of("a")).toHaveLength(1);
  });
});
