import { describe, expect, it } from "vitest";
import type { ExecutionRecord } from "../../services/history/records/execution-record.ts";
import type { EndingPlace, RecordChanges } from "../../services/history/store/contract.ts";
import { type HistoryEngine, type StoreSize, useStore } from "../support/history-engine.ts";
import { failed, job, noon, otherJob, resultOf, skipped } from "../support/history-results.ts";
import { batchOf, jobsOfBatch, retriedJobs } from "../support/history-store-batches.ts";
import { jobNamed } from "../support/job-ids.ts";

/** The order in which executions ended, and going on behind a place in it. */
export function endingsSuite(engine: HistoryEngine, size: StoreSize): void {
  const rig = useStore(engine, size);

  /** All that ended behind a place, by questions of so many. */
  const since = async (jobId: string, from: EndingPlace, limit = 1_000) => {
    const endings: { record: ExecutionRecord; place: EndingPlace }[] = [];
    for (let place = from; ; ) {
      const answer = await rig.store.endedSince(jobId, place, limit);
      if (!answer) throw new Error("the store does not know the place");
      expect(answer.endings.length).toBeLessThanOrEqual(limit);
      expect(answer.forgotten).toBe(0);
      endings.push(...answer.endings);
      place = answer.place;
      if (answer.done) return { endings, place };
    }
  };
  const toldOf = ({ ended, revised }: RecordChanges) => [...ended, ...revised.map(({ record }) => record)];
  const nameOf = ({ second, run }: { second: number; run: string }) => `${second} ${run}`;

  describe("what ended behind a place", () => {
    it("is what was told since, in that order and once, from each place, by any page and over restarts", async () => {
      const calls = 12;
      const told: { call: number; record: ExecutionRecord }[] = [];
      const places = [await rig.store.lastEnding()];
      for (let call = 0; call < calls; call++) {
        const changes = await rig.store.record(batchOf(call));
        told.push(...toldOf(changes).map((record) => ({ call, record })));
        const place = await rig.store.lastEnding();
        places.push(place);
        expect(changes.place).toEqual(place);
        if (call % 5 === 3) await rig.reopen();
        expect(await rig.store.lastEnding()).toEqual(place);
      }
      for (const [asked, from] of places.entries()) {
        // The first waits for its retry, the last has manual runs.
        for (const jobId of [retriedJobs[0], jobsOfBatch.at(-1)] as string[]) {
          const expected = told.filter(({ call, record }) => call >= asked && record.jobId === jobId);
          for (const limit of [1, 3, 1_000]) {
            const { endings, place } = await since(jobId, from, limit);
            expect(endings.map(({ record }) => nameOf(record))).toEqual(expected.map(({ record }) => nameOf(record)));
            expect(place).toEqual(places.at(-1));
          }
        }
      }
    });

    it("goes on in the midst of a commit", async () => {
      const start = await rig.store.lastEnding();
      await rig.store.record([0, 1, 2, 3].map((i) => resultOf({ second: noon + i })));
      const { endings } = await since(job, start);
      expect(endings).toHaveLength(4);
      for (const [i, { place }] of endings.entries()) {
        const behind = await since(job, place);
        expect(behind.endings.map(({ record }) => record.second - noon)).toEqual([0, 1, 2, 3].slice(i + 1));
      }
    });

    it("has retries that ended late, skips, and a call that was made of a skip, as they stand now", async () => {
      await rig.store.record([failed({ final: false })]);
      await rig.store.record([resultOf({ second: noon + 500 })]);
      const from = await rig.store.lastEnding();
      await rig.store.record([failed({ second: noon + 501, final: false })]);
      expect(await rig.store.lastEnding()).toEqual(from);
      await rig.store.record([resultOf({ attempt: 2 })]);
      await rig.store.record([skipped({ second: noon + 3 }), resultOf({ jobId: otherJob })]);
      await rig.store.record([resultOf({ second: noon + 3 })]);
      const { endings } = await since(job, from);
      expect(endings.map(({ record }) => [record.second - noon, record.attempts.length])).toEqual([
        [0, 2],
        [3, 1],
        [3, 1],
      ]);
      const listed = await rig.store.list(job, 9);
      for (const { record } of endings) expect(listed).toContainEqual(record);
    });

    it("is nothing of a job that nobody has heard of", async () => {
      const from = await rig.store.lastEnding();
      await rig.store.record([resultOf()]);
      expect(await since(jobNamed("nobody"), from)).toEqual({ endings: [], place: await rig.store.lastEnding() });
    });

    it("is told with the number of those that are forgotten", async () => {
      const from = await rig.store.lastEnding();
      for (let i = 0; i < 12; i++) await rig.store.record([resultOf({ second: noon + i })]);
      await rig.store.noteJobs([{ jobId: job, deleted: true, second: noon }], { stream: "jobs", sequence: 1 });
      for (let done = false; !done; ) ({ done } = await rig.store.forget(noon + 9));
      const answer = await rig.store.endedSince(job, from, 1_000);
      expect(answer?.endings.map(({ record }) => record.second - noon)).toEqual([9, 10, 11]);
      expect(answer?.forgotten).toBe(9);
    });

    it("is not known behind a place that was never one of this store", async () => {
      await rig.store.record([resultOf(), resultOf({ second: noon + 1 })]);
      const place = await rig.store.lastEnding();
      for (const wrong of [{ mark: place.mark ^ 1 }, { commit: place.commit + 1 }, { count: place.count + 1 }]) {
        expect(await rig.store.endedSince(job, { ...place, ...wrong }, 5)).toBeUndefined();
      }
    });
  });
}
