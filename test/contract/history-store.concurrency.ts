import { describe, expect, it } from "vitest";
import type { ExecutionRecord } from "../../services/history/records/execution-record.ts";
import type { AttemptResult } from "../../services/wire/attempt-result.ts";
import { createDice, type Dice } from "../simulation/random.ts";
import { type HistoryEngine, type StoreSize, useStore } from "../support/history-engine.ts";
import { failed, job, noon, occurrence, partsOf, resultOf, skipped } from "../support/history-results.ts";
import { jobsNamed } from "../support/job-ids.ts";

/** What holds while calls overlap, and however results are spread over them. */
export function concurrencySuite(engine: HistoryEngine, size: StoreSize): void {
  const rig = useStore(engine, size);

  describe("with calls that overlap", () => {
    it("lets each execution end in one of them, and counts each result in one", async () => {
      const results = Array.from({ length: 60 }, (_, i) => [
        failed({ second: noon + i, final: false }),
        resultOf({ second: noon + i, attempt: 2 }),
      ]).flat();
      const dice = createDice(7);
      const calls = Array.from({ length: 12 }, () => rig.store.record(shuffled(results, dice)));
      const answers = await Promise.all(calls);
      expect(answers.reduce((sum, { news }) => sum + news, 0)).toBe(120);
      const ended = answers.flatMap((answer) => answer.ended.map(({ second }) => second - noon));
      expect(ended.sort((a, b) => a - b)).toEqual(Array.from({ length: 60 }, (_, i) => i));
      expect(await rig.store.list(job, 100)).toHaveLength(60);
    });

    it("shows nobody a part of a call", async () => {
      const perCall = 7;
      const reads: Promise<number>[] = [];
      const writes: Promise<unknown>[] = [];
      for (let call = 0; call < 40; call++) {
        const seconds = Array.from({ length: perCall }, (_, i) => noon + call * perCall + i);
        writes.push(rig.store.record(seconds.map((second) => resultOf({ second }))));
        reads.push(rig.store.list(job, 1_000).then((records) => records.length));
        reads.push(
          rig.store
            .findRecorded(seconds.map((second) => occurrence(second)))
            .then((recorded) => recorded.filter(Boolean).length),
        );
      }
      for (const count of await Promise.all(reads)) expect(count % perCall).toBe(0);
      await Promise.all(writes);
      expect(await rig.store.list(job, 1_000)).toHaveLength(40 * perCall);
    });

    it("forgets in one instant each time, while others record and list", async () => {
      const perCall = 5;
      const olds = Array.from({ length: 60 }, (_, i) => resultOf({ second: noon + i, run: i % 3 ? "" : `m${i}` }));
      for (let i = 0; i < olds.length; i += perCall) await rig.store.record(olds.slice(i, i + perCall));
      const border = noon + 40;
      const forgets: Promise<number>[] = [];
      const writes: Promise<number>[] = [];
      const lists: Promise<ExecutionRecord[]>[] = [];
      for (let call = 0; call < 12; call++) {
        const news = Array.from({ length: perCall }, (_, i) => resultOf({ second: noon + 100 + call * perCall + i }));
        lists.push(rig.store.list(job, 1_000));
        writes.push(rig.store.record(news).then((changes) => changes.news));
        forgets.push(rig.store.forget(border).then(({ count }) => count));
        // Known still, or the beginning of a new record.
        const again = olds.slice(0, call);
        writes.push(rig.store.record(again).then((changes) => changes.news));
      }
      const sum = (counts: number[]) => counts.reduce((total, count) => total + count, 0);
      const [forgotten, recorded] = [sum(await Promise.all(forgets)), sum(await Promise.all(writes))];
      if (size === "small") expect(forgotten).toBeGreaterThan(0);
      const kept = olds.filter(({ second }) => second >= border).length;
      for (const listed of await Promise.all(lists)) {
        const places = listed.map(({ second, run }) => `${second} ${run}`);
        expect(new Set(places).size).toBe(places.length);
        expect(listed.filter(({ second }) => second >= border && second < noon + 100)).toHaveLength(kept);
        expect(listed.filter(({ second }) => second >= noon + 100).length % perCall).toBe(0);
      }
      const left = await rig.store.list(job, 1_000);
      expect(left).toHaveLength(olds.length + recorded - forgotten);
      await rig.reopen();
      expect(await rig.store.list(job, 1_000)).toEqual(left);
    });

    it("shows what was answered to each that asks after that", async () => {
      const follow = async (jobId: string) => {
        for (let i = 0; i < 20; i++) {
          const { ended } = await rig.store.record([resultOf({ jobId, second: noon + i })]);
          const [listed, found, recorded] = await Promise.all([
            rig.store.list(jobId, 1),
            rig.store.find(occurrence(noon + i, jobId)),
            rig.store.findRecorded([occurrence(noon + i, jobId)]),
          ]);
          expect({ listed, found, recorded }).toEqual({ listed: ended, found: ended[0], recorded: [true] });
        }
      };
      await Promise.all(jobsNamed("j", 8).map(follow));
    });
  });

  it.each([
    1, 2, 3, 4, 5,
  ])("makes the same records of the same results in any order and any batches (seed %i)", async (seed) => {
    const dice = createDice(seed);
    const results = Array.from({ length: 40 }, (_, i) => anExecution(i, dice)).flat();
    const recordsOf = async (jobId: string) => {
      const found = await Promise.all(results.map((result) => rig.store.find(partsOf({ ...result, jobId }))));
      const listed = await rig.store.list(jobId, 100);
      return JSON.stringify({ found, listed }).replaceAll(jobId, job);
    };
    await rig.store.record(results);
    const expected = await recordsOf(job);
    for (const jobId of jobsNamed("s", 3)) {
      const often = shuffled([...results, ...results], dice).map((result) => ({ ...result, jobId }));
      let news = 0;
      while (often.length > 0) news += (await rig.store.record(often.splice(0, dice.between(1, 30)))).news;
      expect(await recordsOf(jobId)).toBe(expected);
      expect(news).toBeLessThanOrEqual(results.length);
    }
  });
}

/** Results that executors may give of one execution when nothing was done twice: attempts, at times a skip after them. */
function anExecution(number: number, dice: Dice): AttemptResult[] {
  const place = { second: noon + Math.floor(number / 2), run: number % 2 ? `m${number}` : "" };
  const attempts = dice.between(0, 3);
  const final = attempts > 0 && dice.chance(2 / 3);
  const results = Array.from({ length: attempts }, (_, i) =>
    i === attempts - 1 && final
      ? resultOf({ ...place, attempt: i + 1, sentAtMs: noon * 1000 + number * 10 + i })
      : failed({ ...place, attempt: i + 1, final: false, message: `answered 50${i}`, durationMs: i }),
  );
  const skip = attempts === 0 || (!final && dice.chance(1 / 2));
  return skip ? [...results, skipped(place)] : results;
}

function shuffled<T>(items: readonly T[], dice: Dice): T[] {
  const left = [...items];
  return items.flatMap(() => left.splice(dice.between(0, left.length - 1), 1));
}
