import { describe, expect, it } from "vitest";
import { ExecutionStatus, ExecutionTrigger } from "../../gen/carillon/v1/execution_pb.ts";
import type { Position } from "../../services/domain/identity/position.ts";
import type { ExecutionRecord } from "../../services/history/records/execution-record.ts";
import { type HistoryEngine, type StoreSize, useStore } from "../support/history-engine.ts";
import { failed, job, manualRun, noon, occurrence, otherJob, resultOf, skipped } from "../support/history-results.ts";
import { jobNamed } from "../support/job-ids.ts";

const manual = { trigger: ExecutionTrigger.MANUAL };
const placesOf = (records: readonly Position[]) => records.map(({ second, run }) => `${second - noon}${run}`);

/** What is answered of the records: order, pages, names. */
export function readingSuite(engine: HistoryEngine, size: StoreSize): void {
  const rig = useStore(engine, size);

  /** One call each, so that a small engine has all of its upkeep to do. */
  const fill = async (count: number, jobId = job) => {
    for (let i = 0; i < count; i++) await rig.store.record([resultOf({ jobId, second: noon + i })]);
  };

  describe("lists", () => {
    it("the newest second first, and the runs of one second in descending order, whenever they were recorded", async () => {
      const runs = ["", "m0", "m1", "m10", "m9", "ma", "mz"];
      const results = [3, 0, 2, -100, 1].flatMap((offset) =>
        runs.map((run) => resultOf({ second: noon + offset, run: run && `${run}${offset + 100}` })),
      );
      for (const result of results.toSorted((a, b) => (a.run < b.run ? -1 : 1))) await rig.store.record([result]);
      const expected = results
        .toSorted((a, b) => b.second - a.second || (a.run < b.run ? 1 : -1))
        .map(({ second, run }) => `${second - noon}${run}`);
      expect(placesOf(await rig.store.list(job, 100))).toEqual(expected);
      await rig.reopen();
      expect(placesOf(await rig.store.list(job, 100))).toEqual(expected);
      for (const [i, place] of expected.entries()) {
        const before = results.find(({ second, run }) => `${second - noon}${run}` === place);
        expect(placesOf(await rig.store.list(job, 3, before))).toEqual(expected.slice(i + 1, i + 4));
      }
    });

    it("at most as many as asked for, and those of the job only", async () => {
      await fill(35);
      await fill(12, otherJob);
      for (const limit of [0, 1, 5, 34, 35, 36, 1_001]) {
        const listed = await rig.store.list(job, limit);
        expect(placesOf(listed)).toEqual(Array.from({ length: Math.min(limit, 35) }, (_, i) => `${34 - i}`));
      }
      expect(await rig.store.list(otherJob, 100)).toHaveLength(12);
      expect(await rig.store.list(jobNamed("nobody"), 5)).toEqual([]);
      expect(await rig.store.list(job, 5, { second: noon, run: "" })).toEqual([]);
    });

    it("what was recorded late among what is older", async () => {
      await fill(25);
      await rig.store.record([resultOf({ second: noon - 100 }), resultOf({ second: noon - 50 })]);
      expect(placesOf(await rig.store.list(job, 2, { second: noon, run: "" }))).toEqual(["-50", "-100"]);
      expect(placesOf(await rig.store.list(job, 3, { second: noon + 2, run: "" }))).toEqual(["1", "0", "-50"]);
    });

    it("page after page all that was there when it began, once, while others come and end", async () => {
      const there: string[] = [];
      for (let i = 0; i < 20; i++) {
        await rig.store.record([resultOf({ second: noon + 2 * i }), resultOf({ second: noon + 2 * i, run: `mx${i}` })]);
        await rig.store.record([failed({ second: noon + 2 * i, run: `mw${i}`, final: false })]);
        there.unshift(`${2 * i}mx${i}`, `${2 * i}`);
      }
      const seen: string[] = [];
      let last: ExecutionRecord | undefined;
      for (let page = 0; page === 0 || last; page++) {
        const records = await rig.store.list(job, 3, last);
        seen.push(...placesOf(records));
        last = records.at(-1);
        if (page >= 15) continue;
        // Newer and older ones, some among those that are there; and one that was waiting has ended.
        await rig.store.record([
          resultOf({ second: noon + 100 + page }),
          resultOf({ second: noon + 1 + 2 * page }),
          resultOf({ second: noon - 1 - page }),
          resultOf({ second: noon + 2 * page, run: `mw${page}`, attempt: 2 }),
        ]);
      }
      expect(new Set(seen).size).toBe(seen.length);
      expect(seen.filter((place) => there.includes(place))).toEqual(there);
    });
  });

  describe("finds", () => {
    it("which of many executions have a record, in the order of the question", async () => {
      await fill(25);
      await rig.store.record([
        failed({ second: noon + 50, final: false }),
        skipped({ second: noon + 51, status: ExecutionStatus.SKIPPED_EXPIRED }),
        resultOf({ second: noon + 60, run: "mabc", ...manual }),
        resultOf({ jobId: otherJob, second: noon + 52 }),
      ]);
      const asked = [
        ...[0, 24, 25, 50, 51, 52, 60, 0].map((offset) => occurrence(noon + offset)),
        ...[manualRun("mabc"), manualRun("mabd"), manualRun("mabc", otherJob)],
        ...[occurrence(noon, jobNamed("nobody")), occurrence(noon + 52, otherJob)],
      ];
      const expected = [true, true, false, true, true, false, false, true, true, false, false, false, true];
      expect(await rig.store.findRecorded(asked)).toEqual(expected);
      await rig.reopen();
      expect(await rig.store.findRecorded(asked)).toEqual(expected);
      expect(await rig.store.findRecorded([])).toEqual([]);
    });

    it("no execution that was only skipped because its job was changed or paused: another timing may have its second", async () => {
      const skips = [
        { status: ExecutionStatus.SKIPPED_SUPERSEDED, reason: "JOB_CHANGED" },
        { status: ExecutionStatus.SKIPPED_PAUSED, reason: "JOB_PAUSED" },
        { status: ExecutionStatus.SKIPPED_OVERLAP, reason: "OVERLAP" },
        { status: ExecutionStatus.SKIPPED_MISFIRE, reason: "MISFIRE" },
        { status: ExecutionStatus.SKIPPED_EXPIRED, reason: "EXPIRED" },
      ];
      await rig.store.record(skips.map((skip, i) => skipped({ second: noon + i, ...skip })));
      const asked = skips.map((_, i) => occurrence(noon + i));
      expect(await rig.store.findRecorded(asked)).toEqual([false, false, true, true, true]);
      // A call that failed before, or that came after, counts.
      await rig.store.record([failed({ second: noon, final: false }), resultOf({ second: noon + 1 })]);
      expect(await rig.store.findRecorded(asked)).toEqual([true, true, true, true, true]);
    });

    it("thousands at once", async () => {
      const seconds = Array.from({ length: 10_000 }, (_, i) => noon + i);
      const odd = seconds.filter((second) => second % 2 === 1);
      await rig.store.record(odd.map((second) => resultOf({ second })));
      const recorded = await rig.store.findRecorded(seconds.map((second) => occurrence(second)));
      expect(recorded).toEqual(seconds.map((second) => second % 2 === 1));
    });

    it("a manual run by its id alone, beside the occurrence of its second", async () => {
      await rig.store.record([resultOf({ run: "mabc", ...manual }), resultOf({ run: "mabd", ...manual }), failed()]);
      await fill(25, otherJob);
      expect(await rig.store.find(manualRun("mabc"))).toMatchObject({ second: noon, run: "mabc", ...manual });
      expect(await rig.store.find(occurrence())).toMatchObject({ run: "", httpStatus: 500 });
      expect(await rig.store.find(manualRun("mabe"))).toBeUndefined();
      expect(await rig.store.find(manualRun("mabc", otherJob))).toBeUndefined();
      expect(placesOf(await rig.store.list(job, 5))).toEqual(["0mabd", "0mabc", "0"]);
    });

    it("what is recorded again long after, and records it no second time", async () => {
      await rig.store.record([failed({ final: false }), failed({ run: "mabc", final: false, ...manual })]);
      await fill(25, otherJob);
      expect((await rig.store.record([failed({ final: false })])).news).toBe(0);
      expect((await rig.store.record([resultOf({ attempt: 2 })])).ended).toHaveLength(1);
      expect((await rig.store.record([resultOf({ run: "mabc", attempt: 2, ...manual })])).ended).toHaveLength(1);
      expect((await rig.store.record([resultOf({ attempt: 2 })])).news).toBe(0);
      expect(await rig.store.list(job, 5)).toMatchObject([
        { run: "mabc", attempts: [{ attempt: 1 }, { attempt: 2 }] },
        { run: "", attempts: [{ attempt: 1 }, { attempt: 2 }] },
      ]);
    });
  });
}
