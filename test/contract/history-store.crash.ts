import { once } from "node:events";
import { createInterface } from "node:readline";
import { expect, it } from "vitest";
import type { HistoryStore } from "../../services/history/store/contract.ts";
import { type HistoryEngine, type StoreSize, useStore } from "../support/history-engine.ts";
import { noon, partsOf } from "../support/history-results.ts";
import { batchOf, jobsOfBatch, retriedJobs } from "../support/history-store-batches.ts";
import { spawnWriter } from "../support/history-store-process.ts";

/** How far the store is with a call when its process dies: at that result, or wherever it is once that many were answered. */
const deaths = [
  { answers: 1, result: 25 },
  { answers: 6 },
  { answers: 4, result: 0 },
  { answers: 9, result: 45 },
  { answers: 13 },
  { answers: 2, result: 50 },
];

/** What is left of a process that dies while it records. */
export function crashSuite(engine: HistoryEngine, size: StoreSize): void {
  const rig = useStore(engine, size);

  it("has after a kill -9 all that was answered, and of what was not each call whole or nothing", async () => {
    let next = 0;
    for (const death of deaths) {
      await rig.store.stop();
      const answered = await recordUntilKilled(engine, { ...death, place: rig.place, size, first: next });
      await rig.reopen();
      expect(answered).toBeGreaterThanOrEqual(next + death.answers);
      next = answered;
      // The last one may be written and not answered.
      if (await isWhole(rig.store, next)) next++;
      expect(await isWhole(rig.store, next)).toBe(false);
    }
    for (let call = 0; call < next; call++) expect(await isWhole(rig.store, call)).toBe(true);
    // Each execution is there once; those of the last call still wait for their retry.
    const seconds = Array.from({ length: next }, (_, i) => noon + next - 1 - i);
    for (const jobId of jobsOfBatch) {
      const ended = retriedJobs.includes(jobId) ? seconds.slice(1) : seconds;
      const listed = await rig.store.list(jobId, 10_000);
      expect(listed.filter(({ run }) => run === "").map(({ second }) => second)).toEqual(ended);
    }
  });
}

/** Runs the writer until it has died, and tells the number after the last call that was answered. */
async function recordUntilKilled(
  engine: HistoryEngine,
  options: { place: string; size: StoreSize; first: number; answers: number; result?: number },
): Promise<number> {
  const { place, size, first, answers, result } = options;
  const child = spawnWriter(engine, {
    place,
    size,
    first,
    ...(result !== undefined && { fatal: { answers, result } }),
  });
  const closed = once(child, "close");
  let next = first;
  for await (const line of createInterface({ input: child.stdout })) {
    next = Number(line) + 1;
    if (result === undefined && next === first + answers) child.kill("SIGKILL");
  }
  const [, signal] = await closed;
  expect(signal).toBe("SIGKILL");
  return next;
}

/** Whether all results of a call are there; fails when only some of them are. */
async function isWhole(store: HistoryStore, call: number): Promise<boolean> {
  const there = await Promise.all(
    batchOf(call).map(async (result) => {
      const record = await store.find(partsOf(result));
      return record?.attempts.some(({ attempt }) => attempt === result.attempt) ?? false;
    }),
  );
  expect(new Set(there).size).toBe(1);
  return there[0] === true;
}
