import { once } from "node:events";
import { createInterface } from "node:readline";
import { expect, it } from "vitest";
import { ExecutionStatus } from "../../gen/carillon/v1/execution_pb.ts";
import type { HistoryStore } from "../../services/history/store/contract.ts";
import { createDice } from "../simulation/random.ts";
import { type HistoryEngine, type StoreSize, useStore } from "../support/history-engine.ts";
import { noon, partsOf, resultOf } from "../support/history-results.ts";
import { batchOf, everDeleted, jobsOfBatch, retriedJobs, youngCalls } from "../support/history-store-batches.ts";
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

  it("has after a kill -9 while it seals and forgets all that it owes, nothing twice, and goes on forgetting", async () => {
    const dice = createDice(3);
    let next = 0;
    for (let life = 0; life < 8; life++) {
      await rig.store.stop();
      next = await recordUntilKilled(engine, {
        place: rig.place,
        size,
        first: next,
        answers: dice.between(3, 25),
        forgets: true,
      });
      await rig.reopen();
      // The call under way may have forgotten one second more.
      for (let call = Math.max(0, next - youngCalls + 2); call < next; call++) {
        expect(await isWhole(rig.store, call)).toBe(true);
      }
      const told = (await rig.store.jobsPlace())?.sequence ?? 0;
      expect([next, next + 1]).toContain(told);
      await holdsTogether(next);
    }
    await forgetAll(noon + next);
    const { waiting } = await holdsTogether(next);
    for (const jobId of jobsOfBatch) {
      const left = await rig.store.list(jobId, 1_000);
      if (everDeleted.has(jobId)) expect(left).toEqual(left.filter(({ second }) => second >= noon + next));
      else expect(left.length).toBeGreaterThanOrEqual(5);
    }
    for (const result of waiting) await rig.store.record([resultOf({ ...result, attempt: 2 })]);
    await rig.store.noteJobs(
      jobsOfBatch.map((jobId) => ({ jobId, deleted: true, second: noon })),
      { stream: "jobs", sequence: next },
    );
    await forgetAll(noon + 7_200);
    expect((await rig.store.extent()).rowCount).toBe(0);
  });

  const forgetAll = async (before: number) => {
    for (let done = false; !done; ) ({ done } = await rig.store.forget(before));
  };
  /** Each execution that is there is there once, of those that stand the last 5 are, and the count of all is right. */
  const holdsTogether = async (next: number) => {
    let there = 0;
    const waiting: { jobId: string; second: number }[] = [];
    for (const jobId of jobsOfBatch) {
      const listed = await rig.store.list(jobId, 10_000);
      const places = listed.map(({ second, run }) => `${second} ${run}`);
      expect(new Set(places).size).toBe(places.length);
      for (const record of listed) expect(await rig.store.find(partsOf(record))).toEqual(record);
      there += listed.length;
      for (let call = 0; call <= next; call++) {
        const second = noon + call;
        const record = await rig.store.find(partsOf({ jobId, second, run: "" }));
        if (record?.status === ExecutionStatus.RETRYING) waiting.push({ jobId, second });
      }
      const ended = retriedJobs.includes(jobId) ? next - 1 : next;
      if (everDeleted.has(jobId)) continue;
      const last = listed.slice(0, 5).filter(({ second }) => second >= noon + ended - 5);
      expect(last).toHaveLength(Math.min(5, ended));
    }
    expect((await rig.store.extent()).rowCount).toBe(there + waiting.length);
    return { waiting };
  };
}

/** Runs the writer until it has died, and tells the number after the last call that was answered. */
async function recordUntilKilled(
  engine: HistoryEngine,
  options: { place: string; size: StoreSize; first: number; answers: number; result?: number; forgets?: boolean },
): Promise<number> {
  const { place, size, first, answers, result, forgets = false } = options;
  const child = spawnWriter(engine, {
    place,
    size,
    first,
    forgets,
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
