import { describe, expect, it } from "vitest";
import { createLog } from "../../platform/process/log.ts";
import { createReceipts } from "./receipts.ts";
import type { RelayReceipt } from "./relay-task.ts";

const log = createLog("test", "silent");

/** A clock whose timers fire when the test says so. */
function handClock() {
  const timers = new Set<() => void>();
  return {
    clock: {
      nowMs: () => 0,
      monotonicMs: () => 0,
      after(_delayMs: number, callback: () => void) {
        timers.add(callback);
        return () => void timers.delete(callback);
      },
    },
    waiting: () => timers.size,
    fireAll() {
      const due = [...timers];
      timers.clear();
      for (const callback of due) callback();
    },
  };
}

const receipt = (jobId: string): RelayReceipt => ({
  task: { jobId, keys: [], page: undefined, run: undefined },
  jobId,
  keys: [],
  published: undefined,
});

describe("receipts", () => {
  const setUp = () => {
    const hands = handClock();
    const writes: { jobIds: string[]; end: (error?: Error) => Promise<void> }[] = [];
    const receipts = createReceipts(
      {
        write: (batch) =>
          new Promise((resolve, reject) => {
            writes.push({
              jobIds: batch.map(({ jobId }) => jobId),
              async end(error) {
                if (error) reject(error);
                else resolve(1);
                await new Promise((done) => setImmediate(done));
              },
            });
          }),
        onWritten: () => undefined,
      },
      { clock: hands.clock, log },
    );
    receipts.start();
    return { ...hands, receipts, writes };
  };

  it("that come during a write which takes longer than the time to gather are written after it", async () => {
    const { receipts, writes, fireAll, waiting } = setUp();
    receipts.add(receipt("a"));
    fireAll();
    receipts.add(receipt("b"));
    fireAll();
    expect(writes).toHaveLength(1);
    await writes[0]?.end();
    expect(waiting()).toBe(1);
    fireAll();
    expect(writes[1]?.jobIds).toEqual(["b"]);
    await writes[1]?.end();
    expect(waiting()).toBe(0);
  });

  it("of a write that failed rest until the next try, with those that came meanwhile", async () => {
    const { receipts, writes, fireAll } = setUp();
    receipts.add(receipt("a"));
    fireAll();
    receipts.add(receipt("b"));
    await writes[0]?.end(new Error("the database is away"));
    receipts.add(receipt("c"));
    receipts.hurry();
    expect(writes).toHaveLength(1);
    fireAll();
    expect(writes[1]?.jobIds).toEqual(["a", "b", "c"]);
  });

  it("are written at once when somebody waits for them, and when they are many", async () => {
    const { receipts, writes } = setUp();
    receipts.add(receipt("a"));
    receipts.hurry();
    expect(writes[0]?.jobIds).toEqual(["a"]);
    await writes[0]?.end();
    for (let n = 0; n < 512; n++) receipts.add(receipt(`${n}`));
    expect(writes[1]?.jobIds).toHaveLength(512);
  });

  it("are written at the stop, after the write that is under way", async () => {
    const { receipts, writes, fireAll } = setUp();
    receipts.add(receipt("a"));
    fireAll();
    receipts.add(receipt("b"));
    const stopped = receipts.stop();
    await writes[0]?.end();
    expect(writes[1]?.jobIds).toEqual(["b"]);
    await writes[1]?.end();
    await stopped;
  });
});
