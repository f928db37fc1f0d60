import { expect, it } from "vitest";
import type { Clock } from "../platform/process/clock.ts";
import { createLog } from "../platform/process/log.ts";
import { drain } from "./drain.ts";

/** Where an executor with a call that never ends cuts it off, when it was told to stop at 0 and comes to it later. */
async function cutOffAt(comesToItMs: number): Promise<number> {
  let nowMs = comesToItMs;
  let cutOffMs = Number.NaN;
  const clock: Clock = {
    nowMs: () => nowMs,
    monotonicMs: () => nowMs,
    after(delayMs, callback) {
      nowMs += delayMs;
      queueMicrotask(callback);
      return () => undefined;
    },
  };
  const stored = { flush() {}, pending: () => 0 };
  await drain({
    clock,
    log: createLog("test", "silent"),
    caller: {
      inFlight: () => 1,
      takeWaiting: () => [],
      onWire: () => [],
      close() {
        cutOffMs = nowMs;
      },
    },
    intakes: [],
    settlements: [],
    stored: [stored],
    toldMs: 0,
  });
  return cutOffMs;
}

it("calls on the wire are cut off 5 s after the stop began, however long it took until then", async () => {
  expect([await cutOffAt(0), await cutOffAt(1_500), await cutOffAt(7_000)]).toEqual([5_000, 5_000, 7_000]);
});
