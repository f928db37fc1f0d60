import type { Msg } from "nats";
import { describe, expect, it } from "vitest";
import type { Broker } from "../../platform/jetstream/broker.ts";
import { writeExecutorBeat } from "../../wire/executor-beat.ts";
import { subjects } from "../../wire/subjects.ts";
import { createLiveExecutors } from "./live-executors.ts";

/** Signs of life as the test says, and its clock. */
async function setUp() {
  let nowMs = 0;
  let hear: (error: null, message: Msg) => void = () => undefined;
  let reconnect: () => void = () => undefined;
  const nc = {
    subscribe(_: string, options: { callback: typeof hear }) {
      hear = options.callback;
      return { unsubscribe: () => undefined };
    },
    isClosed: () => false,
  };
  const broker = {
    nc,
    onReconnect(callback: () => void) {
      reconnect = callback;
      return () => undefined;
    },
  } as unknown as Broker;
  const clock = { nowMs: () => 0, monotonicMs: () => nowMs, after: () => () => undefined };
  const executors = createLiveExecutors(broker, { clock });
  await executors.start();
  return {
    haveAll: (...runs: string[]) => executors.haveAll(new Set(runs)),
    beat(run: string, live = true) {
      const data = writeExecutorBeat({ live, jobsSequence: 0 });
      hear(null, { subject: subjects.executorBeat(run), data } as Msg);
    },
    pass: (ms: number) => {
      nowMs += ms;
    },
    reconnect: () => reconnect(),
  };
}

describe("the executors that are alive", () => {
  it("are all there once each has answered, and not while one has not", async () => {
    const { haveAll, beat, pass } = await setUp();
    pass(1_200);
    for (const run of ["a", "b"]) beat(run);
    expect([haveAll("a"), haveAll("b"), haveAll("a", "b"), haveAll("a", "b", "c")]).toEqual([false, false, true, true]);
  });

  it("are not known before they have had the time to say so, also after each reconnection", async () => {
    const { haveAll, pass, reconnect } = await setUp();
    expect(haveAll("a")).toBe(false);
    pass(1_199);
    expect(haveAll("a")).toBe(false);
    pass(1);
    expect(haveAll("a")).toBe(true);
    reconnect();
    expect(haveAll("a")).toBe(false);
  });

  it("are waited for no more once they have said that they stop, or are silent", async () => {
    const { haveAll, beat, pass } = await setUp();
    pass(1_200);
    for (const run of ["stops", "dies"]) beat(run);
    expect(haveAll("dies")).toBe(false);
    beat("stops", false);
    expect(haveAll("dies")).toBe(true);
    pass(3_000);
    expect(haveAll()).toBe(false);
    pass(1);
    expect(haveAll()).toBe(true);
  });
});
