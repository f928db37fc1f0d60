import { describe, expect, it } from "vitest";
import { createSchedulerRig } from "../../../test/support/scheduler-rig.ts";

/** The origins of the next calls, of all that were submitted together. */
function order(rig: ReturnType<typeof createSchedulerRig>, calls: readonly string[], count: number): string {
  for (const origin of calls) rig.scheduler.submit(rig.itemOf(origin, "j"), 0);
  return Array.from({ length: count }, () => rig.scheduler.next(0)?.call.origin).join("");
}

describe("the turn of origins", () => {
  it("gives those that answer three calls of four, however many others wait", () => {
    const rig = createSchedulerRig({ maxInFlight: 4_096 });
    rig.prove("a");
    rig.prove("b");
    const unknown = Array.from({ length: 100 }, (_, i) => String(i % 10));
    expect(order(rig, [...unknown, ..."aaabbb"], 10)).toBe("aba0bab1" + "23");
  });

  it("gives one that nobody knows its call, however many wait for those that answer", () => {
    const rig = createSchedulerRig();
    for (const origin of "ab") rig.prove(origin);
    expect(order(rig, [..."aaaaaaaa", ..."bbbbbbbb", "n", "n"], 9)).toBe("aba" + "n" + "bab" + "n" + "a");
  });

  it("gives those that nobody knows all that the others leave", () => {
    const rig = createSchedulerRig();
    rig.prove("a");
    expect(order(rig, ["m", "n", "a", "m", "n"], 5)).toBe("amnmn");
  });
});
