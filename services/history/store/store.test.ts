import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ExecutionStatus, ExecutionTrigger } from "../../../gen/carillon/v1/execution_pb.ts";
import type { Position } from "../../domain/identity/position.ts";
import type { AttemptResult } from "../../wire/attempt-result.ts";
import { createHistoryStore, type HistoryStore } from "./store.ts";

const { SUCCESS, FAILED, RETRYING, SKIPPED_PAUSED, SKIPPED_SUPERSEDED } = ExecutionStatus;
const job = "01kaw3v9j5x7s2d4f6g8h0m1n2";
const other = "01kaw3v9j5x7s2d4f6g8h0m1n3";
const noon = 1_764_000_000;

const resultOf = (changes: Partial<AttemptResult>): AttemptResult => ({
  jobId: job,
  second: noon,
  run: "",
  attempt: 1,
  status: SUCCESS,
  final: true,
  sentAtMs: noon * 1000 + 3,
  durationMs: 12,
  httpStatus: 200,
  reason: "",
  message: "",
  trigger: ExecutionTrigger.SCHEDULE,
  ...changes,
});
const failed = (changes: Partial<AttemptResult> = {}) =>
  resultOf({ status: FAILED, httpStatus: 500, reason: "HTTP_STATUS", message: "answered 500", ...changes });
const skipped = (changes: Partial<AttemptResult> = {}) =>
  resultOf({ status: SKIPPED_PAUSED, attempt: 0, httpStatus: 0, durationMs: 0, reason: "JOB_PAUSED", ...changes });
const secondsOf = (records: readonly Position[]) => records.map(({ second }) => second);

describe("the history store", () => {
  let folder: string;
  let store: HistoryStore;
  const at = (second = noon, run = "") => ({ second, run });

  const openStore = async (segmentRows?: number) => {
    store = createHistoryStore({ folder, ...(segmentRows !== undefined && { segmentRows }) });
    await store.start();
  };
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), "carillon-history-"));
    await openStore();
  });
  afterEach(async () => {
    await store.stop();
    rmSync(folder, { recursive: true });
  });

  it("keeps all of a result over a restart", async () => {
    const result = failed({ attempt: 1, message: "answered 500: ümläut" });
    expect(store.record([result])).toEqual({ news: 1, settled: [result] });
    await store.stop();
    await openStore();
    const { attempt, final, ...fields } = result;
    const { jobId, second, run, trigger, ...outcome } = fields;
    const record = { jobId, second, run, trigger, ...outcome, decidedBy: 1, attempts: [{ attempt: 1, ...outcome }] };
    expect(store.find(job, at())).toEqual(record);
    expect(store.list(job, 5)).toEqual([record]);
  });

  it("changes nothing when results come again, in one transaction or later", () => {
    const results = [resultOf({}), failed({ second: noon + 1, final: false }), skipped({ second: noon + 2 })];
    expect(store.record([...results, ...results]).news).toBe(3);
    const before = [0, 1, 2].map((offset) => store.find(job, at(noon + offset)));
    expect(store.record(results)).toEqual({ news: 0, settled: [] });
    expect([0, 1, 2].map((offset) => store.find(job, at(noon + offset)))).toEqual(before);
  });

  describe("of an execution with a retry", () => {
    it("tells that it waits, and lists it only when it has ended", () => {
      expect(store.record([failed({ final: false })]).settled).toEqual([]);
      expect(store.find(job, at())).toMatchObject({ status: RETRYING, httpStatus: 500, attempts: [{ attempt: 1 }] });
      expect(store.list(job, 5)).toEqual([]);
      const second = resultOf({ attempt: 2, sentAtMs: noon * 1000 + 999 });
      expect(store.record([second]).settled).toEqual([second]);
      const [record] = store.list(job, 5);
      expect(record).toMatchObject({ status: SUCCESS, sentAtMs: noon * 1000 + 999, httpStatus: 200 });
      expect(record?.attempts).toMatchObject([
        { attempt: 1, status: FAILED, httpStatus: 500 },
        { attempt: 2, status: SUCCESS, httpStatus: 200 },
      ]);
    });

    it("makes the same record when the attempts come in the other order", () => {
      const results = [failed({ final: false }), resultOf({ attempt: 2 })];
      store.record(results);
      store.record(results.map((result) => ({ ...result, jobId: other })).reverse());
      expect(store.find(other, at())).toEqual({ ...store.find(job, at()), jobId: other });
    });

    it("lets a skip end what waits for a retry that will not come", () => {
      store.record([failed({ final: false })]);
      expect(store.record([skipped()]).settled).toHaveLength(1);
      expect(store.find(job, at())).toMatchObject({
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
        expect(store.record([result])).toMatchObject({ news: 1, settled: i === 0 ? [result] : [] });
        await store.stop();
        await openStore();
      }
      store.record(results.map((result) => ({ ...result, jobId: other })).reverse());
      expect(store.find(other, at())).toEqual({ ...store.find(job, at()), jobId: other });
      expect(store.find(job, at())).toMatchObject({
        status: FAILED,
        message: "answered 503; not tried again, because the job was paused",
        attempts: [{ attempt: 1 }, { attempt: 3 }],
      });
      expect(store.record(results).news).toBe(0);
      expect(store.list(job, 5)).toHaveLength(1);
    });
  });

  describe("of an execution that was handled twice", () => {
    it("lets a fired disposition win over a skip, whichever comes first", () => {
      store.record([skipped(), resultOf({})]);
      store.record([resultOf({ jobId: other })]);
      expect(store.record([skipped({ jobId: other })]).news).toBe(0);
      expect(store.find(job, at())).toMatchObject({ status: SUCCESS, reason: "", attempts: [{ attempt: 1 }] });
      expect(store.find(other, at())).toEqual({ ...store.find(job, at()), jobId: other });
    });

    it("says once that it is settled", () => {
      expect(store.record([skipped()]).settled).toHaveLength(1);
      expect(store.record([resultOf({})]).settled).toHaveLength(0);
    });

    it("keeps the first final outcome of an attempt", () => {
      store.record([failed()]);
      expect(store.record([resultOf({})]).news).toBe(0);
      expect(store.find(job, at())?.status).toBe(FAILED);
    });

    it("keeps what has decided it, and adds the attempts that were made besides", () => {
      store.record([failed({ final: false })]);
      // The duplicate of the first attempt succeeds; the retry of the first one comes all the same.
      store.record([resultOf({ sentAtMs: noon * 1000 + 50 })]);
      store.record([failed({ attempt: 2, sentAtMs: noon * 1000 + 2_000 })]);
      expect(store.find(job, at())).toMatchObject({
        status: SUCCESS,
        sentAtMs: noon * 1000 + 50,
        decidedBy: 1,
        attempts: [
          { attempt: 1, status: SUCCESS },
          { attempt: 2, status: FAILED },
        ],
      });
    });

    it("keeps the first of two skips", () => {
      store.record([skipped(), skipped({ status: SKIPPED_SUPERSEDED })]);
      expect(store.find(job, at())?.status).toBe(SKIPPED_PAUSED);
    });
  });

  describe("with many segments", () => {
    const fill = (count: number, jobId = job) => {
      for (let i = 0; i < count; i++) store.record([resultOf({ jobId, second: noon + i })]);
    };
    beforeEach(async () => {
      await store.stop();
      await openStore(10);
    });

    it("rolls over, and reads the same before and after a restart", async () => {
      fill(35);
      expect(store.segments().map(({ rowCount }) => rowCount)).toEqual([10, 10, 10, 5]);
      const newest = Array.from({ length: 25 }, (_, i) => noon + 34 - i);
      expect(secondsOf(store.list(job, 25))).toEqual(newest);
      await store.stop();
      await openStore(10);
      expect(store.segments().map(({ rowCount }) => rowCount)).toEqual([10, 10, 10, 5]);
      expect(secondsOf(store.list(job, 25))).toEqual(newest);
    });

    it("knows a duplicate of an execution in an older segment", () => {
      store.record([failed({ final: false })]);
      fill(25, other);
      expect(store.record([failed({ final: false })]).news).toBe(0);
      expect(store.record([resultOf({ attempt: 2 })]).settled).toHaveLength(1);
      expect(store.record([resultOf({ attempt: 2 })]).news).toBe(0);
      expect(store.list(job, 5)).toMatchObject([{ status: SUCCESS, attempts: [{ attempt: 1 }, { attempt: 2 }] }]);
    });

    it("lists in the order of the seconds also what was recorded late", () => {
      fill(25);
      store.record([resultOf({ second: noon - 100 }), resultOf({ second: noon - 50 })]);
      expect(secondsOf(store.list(job, 2, at(noon)))).toEqual([noon - 50, noon - 100]);
      expect(secondsOf(store.list(job, 3, at(noon + 2)))).toEqual([noon + 1, noon, noon - 50]);
    });

    it("finds a manual run by its id alone, in whichever segment", () => {
      store.record([resultOf({ run: "mabc", trigger: ExecutionTrigger.MANUAL })]);
      fill(25, other);
      expect(store.findManual(job, "mabc")).toMatchObject({ second: noon, run: "mabc" });
      expect(store.hasManual(job, "mabc")).toBe(true);
      expect(store.hasManual(job, "mabd")).toBe(false);
      expect(store.hasManual(other, "mabc")).toBe(false);
    });

    it("forgets a dropped segment and nothing else", async () => {
      store.record([resultOf({ run: "mabc" })]);
      fill(30);
      store.dropSegment(1);
      expect(secondsOf(store.list(job, 100)).at(-1)).toBe(noon + 9);
      expect(store.hasManual(job, "mabc")).toBe(false);
      expect(() => store.dropSegment(4)).toThrow("no sealed segment");
      await store.stop();
      await openStore(10);
      expect(secondsOf(store.list(job, 100)).at(-1)).toBe(noon + 9);
    });
  });

  it("pages through everything once while new executions come", () => {
    for (let i = 0; i < 20; i++)
      store.record([resultOf({ second: noon + i }), resultOf({ second: noon + i, run: "mx" })]);
    const seen: string[] = [];
    let before: Position | undefined;
    for (let page = 0; page < 20; page++) {
      const records = store.list(job, 3, before);
      seen.push(...records.map(({ second, run }) => `${second - noon}${run}`));
      before = records.at(-1);
      store.record([resultOf({ second: noon + 100 + page })]);
      if (!before) break;
    }
    expect(seen).toEqual(Array.from({ length: 20 }, (_, i) => [`${19 - i}mx`, `${19 - i}`]).flat());
  });

  it("leaves nothing behind of a transaction that failed", () => {
    const broken = { ...resultOf({ jobId: other }), second: null as unknown as number };
    expect(() => store.record([resultOf({}), broken])).toThrow();
    expect(store.list(job, 5)).toEqual([]);
    expect(store.record([resultOf({}), resultOf({ jobId: other })]).news).toBe(2);
    expect(store.list(job, 5)).toHaveLength(1);
    expect(store.list(other, 5)).toHaveLength(1);
  });

  it("refuses a second writer", async () => {
    const second = createHistoryStore({ folder });
    await expect(second.start()).rejects.toThrow(/another process/);
  });
});
