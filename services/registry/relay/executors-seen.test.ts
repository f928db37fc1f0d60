import type { Msg } from "nats";
import { describe, expect, it } from "vitest";
import type { Broker } from "../../platform/jetstream/broker.ts";
import { type ExecutorBeat, writeExecutorBeat } from "../../wire/executor-beat.ts";
import { subjects } from "../../wire/subjects.ts";
import { createExecutorsSeen } from "./executors-seen.ts";

/** What executors say, and a clock that the test sets. */
async function setUp() {
  let hear: (error: null, message: Msg) => void = () => undefined;
  let nowMs = 10_000;
  let timers: { atMs: number; callback: () => void }[] = [];
  const clock = {
    nowMs: () => nowMs,
    monotonicMs: () => nowMs,
    after(delayMs: number, callback: () => void) {
      timers.push({ atMs: nowMs + delayMs, callback });
      return () => undefined;
    },
  };
  const nc = {
    isClosed: () => false,
    subscribe(_subject: string, options: { callback: typeof hear }) {
      hear = options.callback;
      return { unsubscribe: () => undefined };
    },
  };
  const executors = createExecutorsSeen({ nc, onReconnect: () => () => undefined } as unknown as Broker, { clock });
  await executors.start();
  return {
    say: (run: string, beat: ExecutorBeat) =>
      hear(null, { subject: subjects.executorBeat(run), data: writeExecutorBeat(beat) } as Msg),
    pass(ms: number) {
      nowMs += ms;
      const due = timers.filter(({ atMs }) => atMs <= nowMs);
      timers = timers.filter(({ atMs }) => atMs > nowMs);
      for (const { callback } of due) callback();
    },
    async isSeen(sequence: number) {
      let seen = false;
      const promise = executors.seen(sequence).then(() => {
        seen = true;
      });
      await new Promise(setImmediate);
      return { at: () => seen, promise };
    },
  };
}

describe("what executors have seen", () => {
  it("is not known before they had the time to say so", async () => {
    const rig = await setUp();
    const first = await rig.isSeen(1);
    expect(first.at()).toBe(false);
    rig.pass(1_200);
    await first.promise;
  });

  it("is waited for of each that is alive", async () => {
    const rig = await setUp();
    rig.pass(1_200);
    rig.say("a", { live: true, jobsSequence: 5 });
    rig.say("b", { live: true, jobsSequence: 4 });
    expect((await rig.isSeen(4)).at()).toBe(true);
    const fifth = await rig.isSeen(5);
    expect(fifth.at()).toBe(false);
    rig.say("b", { live: true, jobsSequence: 5 });
    await fifth.promise;
  });

  it("is not waited for of one that stops, or falls silent, or where there is none", async () => {
    const rig = await setUp();
    rig.pass(1_200);
    expect((await rig.isSeen(9)).at()).toBe(true);
    rig.say("a", { live: true, jobsSequence: 1 });
    const second = await rig.isSeen(2);
    expect(second.at()).toBe(false);
    rig.say("a", { live: false, jobsSequence: 1 });
    await second.promise;
    rig.say("b", { live: true, jobsSequence: 1 });
    const third = await rig.isSeen(3);
    expect(third.at()).toBe(false);
    rig.pass(3_000);
    await third.promise;
    rig.pass(1);
    expect((await rig.isSeen(9)).at()).toBe(true);
  });

  it("counts as nothing while an executor does not know", async () => {
    const rig = await setUp();
    rig.pass(1_200);
    rig.say("a", { live: true, jobsSequence: 0 });
    expect((await rig.isSeen(1)).at()).toBe(false);
  });
});
