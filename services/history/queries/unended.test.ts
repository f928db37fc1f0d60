import { describe, expect, it } from "vitest";
import { ExecutionStatus, ExecutionTrigger } from "../../../gen/carillon/v1/execution_pb.ts";
import { failed, job, noon, resultOf, skipped } from "../../../test/support/history-results.ts";
import { executionIdOf } from "../../domain/identity/execution-id.ts";
import type { RunningCall } from "../../wire/running-calls.ts";
import { amend, begin, type ExecutionRecord } from "../records/execution-record.ts";
import { createUnended } from "./unended.ts";

const { SUCCESS, FAILED, RETRYING, RUNNING } = ExecutionStatus;
const id = executionIdOf(job, noon);
const nowMs = noon * 1000 + 5_000;
const call = (changes: Partial<RunningCall> = {}): RunningCall => ({
  jobId: job,
  second: noon,
  run: "",
  attempt: 1,
  sentAtMs: noon * 1000 + 4,
  trigger: ExecutionTrigger.SCHEDULE,
  ...changes,
});
const clock = { nowMs: () => nowMs, monotonicMs: () => 0, after: () => () => undefined };

const setUp = (calls: RunningCall[], waiting: ExecutionRecord[] = []) =>
  createUnended({
    store: { listWaiting: async () => waiting },
    calls: { ofJob: async () => calls, ofExecution: async () => calls },
    clock,
  });

describe("an execution that has not ended", () => {
  it.each([
    { of: "the higher attempt", calls: [call(), call({ attempt: 2, sentAtMs: noon * 1000 + 1 })], sentAtMs: 1 },
    { of: "the later one of the same", calls: [call(), call({ sentAtMs: noon * 1000 + 9 })], sentAtMs: 9 },
  ])("is shown with $of two calls, whichever executor answers first", async ({ calls, sentAtMs }) => {
    for (const order of [calls, calls.toReversed()]) {
      const unended = setUp(order);
      const found = await unended.find(id, async () => undefined);
      expect(Number(found?.timestamp?.nanos)).toBe(sentAtMs * 1_000_000);
      expect((await unended.list(job, 5, undefined)).map(({ execution }) => execution)).toEqual([found]);
    }
  });

  it("is read again after the executors were asked: it may have ended since", async () => {
    const records = [undefined, begin(resultOf())];
    const found = await setUp([]).find(id, async () => records.shift());
    expect(found).toMatchObject({ executionId: id, status: SUCCESS });
    const both = [begin(failed({ final: false })), begin(resultOf())];
    expect(await setUp([call({ attempt: 2 })]).find(id, async () => both.shift())).toMatchObject({ status: SUCCESS });
  });

  it("waits for nothing more once it was cut short", async () => {
    const record = amend(begin(failed({ final: false, retryAtMs: nowMs + 7_000 })), skipped());
    const found = await setUp([]).find(id, async () => record);
    expect(found).toMatchObject({ status: FAILED, attemptCount: 1 });
    expect(found?.nextAttemptTime).toBeUndefined();
  });

  it("is nobody's when it is neither recorded nor on the wire", async () => {
    expect(await setUp([]).find(id, async () => undefined)).toBeUndefined();
  });

  it("takes no time that has not passed, by whatever clocks", async () => {
    const early = await setUp([call({ sentAtMs: nowMs + 1_000 })]).find(id, async () => undefined);
    expect(early).toMatchObject({ status: RUNNING, durationMs: 0 });
    expect(await setUp([call()]).find(id, async () => undefined)).toMatchObject({ durationMs: 4_996 });
    const ancient = await setUp([call({ sentAtMs: 0 })]).find(id, async () => undefined);
    expect(ancient?.durationMs).toBe(2 ** 31 - 1);
  });

  it("waits for its retry until that is on the wire", async () => {
    const record = begin(failed({ final: false, retryAtMs: nowMs + 7_000 }));
    expect(await setUp([call()], [record]).list(job, 5, undefined)).toMatchObject([
      { execution: { status: RETRYING } },
    ]);
    expect(await setUp([call({ attempt: 2 })], [record]).list(job, 5, undefined)).toMatchObject([
      { execution: { status: RUNNING, attempts: [{ attempt: 1 }, { attempt: 2, status: RUNNING }] } },
    ]);
  });
});
