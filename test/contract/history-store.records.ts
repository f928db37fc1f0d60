import { describe, expect, it } from "vitest";
import { ExecutionStatus, ExecutionTrigger } from "../../gen/carillon/v1/execution_pb.ts";
import type { AttemptResult } from "../../services/wire/attempt-result.ts";
import { type HistoryEngine, type StoreSize, useStore } from "../support/history-engine.ts";
import { failed, job, manualRun, noon, occurrence, otherJob, resultOf, skipped } from "../support/history-results.ts";
import { jobNamed } from "../support/job-ids.ts";

const { SUCCESS, FAILED, RETRYING, RUNNING, SKIPPED_PAUSED, SKIPPED_SUPERSEDED } = ExecutionStatus;

/** What becomes of results: the rules of records/execution-record.ts, kept. */
export function recordsSuite(engine: HistoryEngine, size: StoreSize): void {
  const rig = useStore(engine, size);

  /** The one record that these results make, called `job`'s whoever's it is. */
  const sameAs = async (jobId: string) => ({ ...(await rig.store.find(occurrence(noon, jobId))), jobId: job });
  const others = (results: readonly AttemptResult[]) => results.map((result) => ({ ...result, jobId: otherJob }));

  it("keeps all of a result, also over a restart", async () => {
    const results = [
      failed({ message: "answered 500: ümläut, 🎉, \u0001, '\"" }),
      failed({ run: "m0", trigger: ExecutionTrigger.MANUAL, attempt: 4_294_967_295, durationMs: 4_294_967_295 }),
      resultOf({ jobId: jobNamed("x"), second: 0, sentAtMs: 0, durationMs: 0 }),
      resultOf({ jobId: otherJob, second: 1e12 - 1, sentAtMs: 1e15 - 1_000, message: "€".repeat(10_000) }),
    ];
    const records = results.map(({ attempt, final, retryAtMs, ...fields }) => {
      const { jobId, second, run, trigger, ...ending } = fields;
      return { ...fields, decidedBy: attempt, attempts: [{ attempt, retryAtMs, ...ending }] };
    });
    expect(await rig.store.record(results)).toMatchObject({ news: 4, ended: records, revised: [] });
    const check = async () => {
      expect(await rig.store.find(occurrence())).toEqual(records[0]);
      expect(await rig.store.find(manualRun("m0"))).toEqual(records[1]);
      expect(await rig.store.list(job, 5)).toEqual([records[1], records[0]]);
      expect(await rig.store.list(jobNamed("x"), 5)).toEqual([records[2]]);
      expect(await rig.store.list(otherJob, 5)).toEqual([records[3]]);
    };
    await check();
    await rig.reopen();
    await check();
  });

  it("changes nothing when results come again, in one call or later", async () => {
    const results = [resultOf(), failed({ second: noon + 1, final: false }), skipped({ second: noon + 2 })];
    const records = () => Promise.all([0, 1, 2].map((offset) => rig.store.find(occurrence(noon + offset))));
    expect((await rig.store.record([...results, ...results])).news).toBe(3);
    const before = await records();
    expect(await rig.store.record(results)).toEqual({ news: 0, ended: [], revised: [], place: undefined });
    await rig.reopen();
    expect(await rig.store.record(results)).toEqual({ news: 0, ended: [], revised: [], place: undefined });
    expect(await records()).toEqual(before);
  });

  it("has nothing to do for no results", async () => {
    expect(await rig.store.record([])).toEqual({ news: 0, ended: [], revised: [], place: undefined });
  });

  describe("of an execution whose first attempt has to wait", () => {
    const wait = (changes: Partial<AttemptResult> = {}) =>
      resultOf({
        status: RUNNING,
        attempt: 0,
        final: false,
        httpStatus: 0,
        durationMs: 0,
        message: "waits",
        ...changes,
      });

    it("shows it among those that have not ended, and never keeps it from being called", async () => {
      expect((await rig.store.record([wait()])).ended).toEqual([]);
      const shown = { status: RETRYING, sentAtMs: noon * 1000 + 3, message: "waits", attempts: [], decidedBy: 0 };
      expect(await rig.store.find(occurrence())).toMatchObject(shown);
      expect(await rig.store.listWaiting(job, 5)).toMatchObject([shown]);
      expect(await rig.store.list(job, 5)).toEqual([]);
      expect(await rig.store.findRecorded([occurrence()])).toEqual([false]);
      await rig.reopen();
      expect(await rig.store.listWaiting(job, 5)).toMatchObject([shown]);
    });

    it.each([
      { what: "its call", end: resultOf({ sentAtMs: noon * 1000 + 500 }), status: SUCCESS },
      { what: "a skip", end: skipped(), status: SKIPPED_PAUSED },
    ])("makes the same record as if it had not waited, of $what", async ({ end, status }) => {
      await rig.store.record([wait()]);
      const { ended } = await rig.store.record([end]);
      expect(ended).toMatchObject([{ status }]);
      await rig.store.record(others([end]));
      // What is told late is no news.
      expect((await rig.store.record([wait(), wait({ jobId: otherJob })])).news).toBe(0);
      expect(await sameAs(otherJob)).toEqual(await sameAs(job));
      expect(await rig.store.listWaiting(job, 5)).toEqual([]);
      expect(await rig.store.list(job, 5)).toEqual(ended);
    });

    it("leaves what waits for a retry as it is", async () => {
      await rig.store.record([failed({ final: false })]);
      const before = await rig.store.find(occurrence());
      expect((await rig.store.record([wait()])).news).toBe(0);
      expect(await rig.store.find(occurrence())).toEqual(before);
    });

    it("is listed a page at a time, newest first, beside those that wait for a retry", async () => {
      const waiting = [
        wait({ second: noon + 1 }),
        failed({ second: noon + 3, final: false }),
        wait({ second: noon + 3, run: "m1", trigger: ExecutionTrigger.MANUAL }),
        wait({ second: noon + 2 }),
      ];
      await rig.store.record([...waiting, resultOf({ second: noon + 4 }), wait({ jobId: otherJob })]);
      const all = await rig.store.listWaiting(job, 10);
      const order = [
        [3, "m1"],
        [3, ""],
        [2, ""],
        [1, ""],
      ];
      expect(all.map(({ second, run }) => [second - noon, run])).toEqual(order);
      for (const [i, record] of all.entries()) {
        expect(await rig.store.listWaiting(job, 2, record)).toEqual(all.slice(i + 1, i + 3));
      }
      expect(await rig.store.listWaiting(job, 0)).toEqual([]);
      expect(await rig.store.listWaiting(jobNamed("nobody"), 5)).toEqual([]);
    });
  });

  describe("of an execution with a retry", () => {
    it("keeps when the next attempt is due, also over a restart", async () => {
      const retryAtMs = noon * 1000 + 60_003;
      await rig.store.record([failed({ final: false, retryAtMs }), failed({ second: noon + 1 })]);
      await rig.reopen();
      expect(await rig.store.find(occurrence())).toMatchObject({ attempts: [{ attempt: 1, retryAtMs }] });
      expect(await rig.store.find(occurrence(noon + 1))).toMatchObject({ attempts: [{ attempt: 1, retryAtMs: 0 }] });
    });

    it("tells that it waits, and lists it only when it has ended", async () => {
      expect((await rig.store.record([failed({ final: false })])).ended).toEqual([]);
      expect(await rig.store.find(occurrence())).toMatchObject({
        status: RETRYING,
        httpStatus: 500,
        attempts: [{ attempt: 1 }],
      });
      expect(await rig.store.list(job, 5)).toEqual([]);
      const { ended } = await rig.store.record([resultOf({ attempt: 2, sentAtMs: noon * 1000 + 999 })]);
      expect(ended).toMatchObject([{ status: SUCCESS, sentAtMs: noon * 1000 + 999, httpStatus: 200, decidedBy: 2 }]);
      expect(ended[0]?.attempts).toMatchObject([
        { attempt: 1, status: FAILED, httpStatus: 500 },
        { attempt: 2, status: SUCCESS, httpStatus: 200 },
      ]);
      expect(await rig.store.list(job, 5)).toEqual(ended);
    });

    it("makes the same record when the attempts come in the other order", async () => {
      const results = [failed({ final: false }), resultOf({ attempt: 2 })];
      await rig.store.record(results);
      await rig.store.record(others(results).reverse());
      expect(await sameAs(otherJob)).toEqual(await sameAs(job));
    });

    it("lets a skip end what waits for a retry that will not come", async () => {
      await rig.store.record([failed({ final: false })]);
      expect((await rig.store.record([skipped()])).ended).toMatchObject([{ status: FAILED }]);
      expect(await rig.store.find(occurrence())).toMatchObject({
        status: FAILED,
        httpStatus: 500,
        message: "answered 500; not tried again, because the job was paused",
        attempts: [{ attempt: 1, status: FAILED, message: "answered 500" }],
      });
    });

    it("tells the same when the skip comes first, over a restart, and of an attempt that comes after that", async () => {
      const third = failed({ attempt: 3, final: false, message: "answered 503", httpStatus: 503 });
      const results = [skipped(), failed({ final: false }), third];
      for (const [i, result] of results.entries()) {
        const { news, ended } = await rig.store.record([result]);
        expect({ news, ended: ended.length }).toEqual({ news: 1, ended: i === 0 ? 1 : 0 });
        await rig.reopen();
      }
      await rig.store.record(others(results).reverse());
      expect(await sameAs(otherJob)).toEqual(await sameAs(job));
      expect(await rig.store.find(occurrence())).toMatchObject({
        status: FAILED,
        message: "answered 503; not tried again, because the job was paused",
        attempts: [{ attempt: 1 }, { attempt: 3 }],
      });
      expect((await rig.store.record(results)).news).toBe(0);
      expect(await rig.store.list(job, 5)).toHaveLength(1);
    });
  });

  describe("of an execution that was handled twice", () => {
    it("lets a call that was made win over a skip, whichever comes first", async () => {
      await rig.store.record([skipped(), resultOf()]);
      await rig.store.record([resultOf({ jobId: otherJob })]);
      expect((await rig.store.record([skipped({ jobId: otherJob })])).news).toBe(0);
      expect(await rig.store.find(occurrence())).toMatchObject({
        status: SUCCESS,
        reason: "",
        attempts: [{ attempt: 1 }],
      });
      expect(await sameAs(otherJob)).toEqual(await sameAs(job));
    });

    it("keeps the first final ending of an attempt", async () => {
      await rig.store.record([failed()]);
      expect((await rig.store.record([resultOf()])).news).toBe(0);
      expect(await rig.store.find(occurrence())).toMatchObject({ status: FAILED });
    });

    it("keeps what has decided it, and adds the attempts that were made besides", async () => {
      await rig.store.record([failed({ final: false })]);
      // The duplicate of the first attempt succeeds; the retry of the first one comes all the same.
      await rig.store.record([resultOf({ sentAtMs: noon * 1000 + 50 })]);
      await rig.store.record([failed({ attempt: 2, sentAtMs: noon * 1000 + 2_000 })]);
      expect(await rig.store.find(occurrence())).toMatchObject({
        status: SUCCESS,
        sentAtMs: noon * 1000 + 50,
        decidedBy: 1,
        attempts: [
          { attempt: 1, status: SUCCESS },
          { attempt: 2, status: FAILED },
        ],
      });
    });

    it("lets an execution that failed and was redriven succeed, and tells of its end no second time", async () => {
      await rig.store.record([failed({ final: false }), failed({ attempt: 2 })]);
      const { ended, news } = await rig.store.record([failed({ attempt: 3, final: false }), resultOf({ attempt: 4 })]);
      expect([news, ended]).toEqual([2, []]);
      expect((await rig.store.record([failed({ attempt: 2 }), resultOf({ attempt: 4 })])).news).toBe(0);
      const record = await rig.store.find(occurrence());
      expect(record).toMatchObject({ status: SUCCESS, decidedBy: 4 });
      expect(record?.attempts.map(({ status }) => status)).toEqual([FAILED, FAILED, FAILED, SUCCESS]);
    });

    it("keeps the first of two skips", async () => {
      await rig.store.record([skipped(), skipped({ status: SKIPPED_SUPERSEDED })]);
      expect(await rig.store.find(occurrence())).toMatchObject({ status: SKIPPED_PAUSED });
    });
  });

  describe("tells what ended with a call", () => {
    it("once for each execution, in the order of the results", async () => {
      const seconds = [5, 1, 3, 2, 4].map((offset) => noon + offset);
      const open = failed({ second: noon + 9, final: false });
      const { ended } = await rig.store.record([...seconds.map((second) => resultOf({ second })), open]);
      expect(ended.map(({ second }) => second)).toEqual(seconds);
      const later = [resultOf({ second: noon + 3, attempt: 2 }), skipped({ second: noon + 9 })];
      expect((await rig.store.record(later)).ended.map(({ second }) => second)).toEqual([noon + 9]);
      expect((await rig.store.record([resultOf({ second: noon + 9 })])).ended).toEqual([]);
    });

    it("as it stands after the call, whatever came to it in between", async () => {
      const { news, ended } = await rig.store.record([
        skipped(),
        failed({ second: noon + 1, final: false }),
        resultOf({ jobId: otherJob }),
        resultOf({ second: noon + 1, attempt: 2 }),
        failed({ second: noon + 1, attempt: 3 }),
        resultOf(),
      ]);
      expect(news).toBe(6);
      const names = [occurrence(), occurrence(noon, otherJob), occurrence(noon + 1)];
      expect(ended).toEqual(await Promise.all(names.map((name) => rig.store.find(name))));
      expect(ended.map(({ status, attempts }) => [status, attempts.length])).toEqual([
        [SUCCESS, 1],
        [SUCCESS, 1],
        [SUCCESS, 3],
      ]);
    });
  });

  it("tells what ends otherwise than it was told before, once, as it stands after the call", async () => {
    await rig.store.record([skipped(), skipped({ second: noon + 1 }), resultOf({ second: noon + 2 })]);
    const [was, other] = await Promise.all([noon, noon + 1].map((second) => rig.store.find(occurrence(second))));
    const { ended, revised } = await rig.store.record([
      failed({ second: noon + 1, final: false }),
      resultOf({ second: noon + 1, attempt: 2 }),
      resultOf(),
      resultOf({ second: noon + 2, attempt: 2 }),
      skipped({ second: noon + 3 }),
      resultOf({ second: noon + 3 }),
    ]);
    expect(ended).toEqual([await rig.store.find(occurrence(noon + 3))]);
    expect(revised).toEqual([
      { record: await rig.store.find(occurrence(noon + 1)), was: other },
      { record: await rig.store.find(occurrence()), was },
    ]);
    expect((await rig.store.record([resultOf({ attempt: 3 })])).revised).toEqual([]);
  });

  it("records nothing of a call that failed, and the same results after that", async () => {
    const many = Array.from({ length: 25 }, (_, i) => resultOf({ second: noon + i }));
    const broken = Object.defineProperty(resultOf({ jobId: otherJob }), "message", {
      get: () => {
        throw new Error("the store fails where it takes this up");
      },
    });
    await expect(rig.store.record([...many, broken])).rejects.toThrow();
    expect(await rig.store.list(job, 50)).toEqual([]);
    expect(await rig.store.findRecorded(many.map(({ second }) => occurrence(second)))).not.toContain(true);
    expect((await rig.store.record([resultOf({ jobId: otherJob }), ...many])).news).toBe(26);
    expect(await rig.store.list(job, 50)).toHaveLength(25);
    await rig.reopen();
    expect(await rig.store.list(job, 50)).toHaveLength(25);
    expect(await rig.store.list(otherJob, 50)).toHaveLength(1);
  });
}
