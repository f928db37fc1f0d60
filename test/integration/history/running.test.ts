import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { ExecutionService, ExecutionStatus, ExecutionTrigger } from "../../../gen/carillon/v1/execution_pb.ts";
import { readHistoryConfig } from "../../../services/history/config.ts";
import { createHistory } from "../../../services/history/service.ts";
import { systemClock, systemRandom } from "../../../services/platform/process/clock.ts";
import { createLog } from "../../../services/platform/process/log.ts";
import { createMetrics } from "../../../services/platform/process/metrics.ts";
import type { Service } from "../../../services/platform/process/service.ts";
import { createGrpcClient } from "../../../services/platform/rpc/grpc/grpc-client.ts";
import { writeExecutorBeat } from "../../../services/wire/executor-beat.ts";
import { type RunningCall, readRunningCallsQuestion, writeRunningCalls } from "../../../services/wire/running-calls.ts";
import { subjects } from "../../../services/wire/subjects.ts";
import { noon } from "../../support/history-results.ts";
import { type HistoryRig, startHistoryRig, wireResult } from "../../support/history-rig.ts";
import { jobNamed } from "../../support/job-ids.ts";

const deps = { clock: systemClock, log: createLog("test", "silent") };
const { SUCCESS, FAILED, RETRYING, RUNNING } = ExecutionStatus;
const jobId = jobNamed("r");
const idAt = (second: number) => `${jobId}-${second}`;
const callAt = (second: number, changes: Partial<RunningCall> = {}): RunningCall => ({
  jobId,
  second,
  run: "",
  attempt: 1,
  sentAtMs: second * 1000 + 4,
  trigger: ExecutionTrigger.SCHEDULE,
  ...changes,
});

let rig: HistoryRig;
beforeAll(async () => {
  rig = await startHistoryRig();
});
afterAll(() => rig.stop());

describe("what executors have on the wire", () => {
  let history: Service;
  let client: ReturnType<typeof createGrpcClient<typeof ExecutionService>>;
  let folder = 0;
  const executors: { stop(): void }[] = [];

  /** Somebody who says that he is an executor, and answers what he is told to. */
  const startExecutor = (name: string, calls: RunningCall[]) => {
    const questions: string[][] = [];
    let silent = false;
    const { nc } = rig.broker;
    const subscription = nc.subscribe(subjects.callsQuestion, {
      callback(_, message) {
        const { jobIds, executionIds } = readRunningCallsQuestion(message.data);
        questions.push([...jobIds, ...executionIds]);
        if (!silent) message.respond(writeRunningCalls({ executorRun: name, calls }));
      },
    });
    const say = (live: boolean) =>
      nc.publish(subjects.executorBeat(name), writeExecutorBeat({ live, jobsSequence: 0 }));
    say(true);
    const beats = setInterval(() => say(true), 200);
    const executor = {
      questions,
      calls,
      hush: () => {
        silent = true;
      },
      stop() {
        clearInterval(beats);
        say(false);
        subscription.unsubscribe();
      },
    };
    executors.push(executor);
    return executor;
  };

  beforeEach(async () => {
    const config = readHistoryConfig({
      NATS_URL: rig.nats.url,
      CARILLON_DATA_DIR: join(rig.dataDir, `running-${folder++}`),
      CARILLON_HISTORY_GRPC_ADDR: "127.0.0.1:0",
      CARILLON_OPS_ADDR: "127.0.0.1:0",
      CARILLON_HISTORY_RETENTION: "36500d",
    });
    history = createHistory(config, { ...deps, random: systemRandom, metrics: createMetrics("history") });
    await history.start();
    client = createGrpcClient(ExecutionService, { address: history.addresses().grpc }, deps);
  });
  afterEach(async () => {
    for (const executor of executors.splice(0)) executor.stop();
    client.close();
    await history.stop();
  });

  const get = (second: number) => client.getExecution({ executionId: idAt(second) });
  const list = async (pageSize = 0, pageToken = "") =>
    client.listExecutions({ jobId, includeRunning: true, pageSize, pageToken });

  it("is gathered from all of them, and shown until its end is recorded, also while that is on its way", async () => {
    const first = startExecutor("first", [callAt(noon)]);
    startExecutor("second", [callAt(noon + 1, { attempt: 2 }), callAt(noon, { jobId: jobNamed("other") })]);
    expect((await list()).executions).toMatchObject([
      { executionId: idAt(noon + 1), status: RUNNING, attemptCount: 2, attempts: [{ attempt: 2, status: RUNNING }] },
      { executionId: idAt(noon), status: RUNNING, attemptCount: 1, attempts: [{ attempt: 1, status: RUNNING }] },
    ]);
    // The call has ended, and its result is still to come.
    first.calls.length = 0;
    expect(await get(noon)).toMatchObject({ status: RUNNING, attemptCount: 1 });
    expect((await list()).executions).toHaveLength(2);
    await rig.publish(wireResult(jobId, noon));
    await rig.allRecorded();
    expect(await get(noon)).toMatchObject({ status: SUCCESS });
    expect((await list()).executions).toMatchObject([{ status: RUNNING }, { status: SUCCESS }]);
  });

  it("changes nothing of what has ended, or of an attempt that is recorded", async () => {
    startExecutor("late", [callAt(noon), callAt(noon + 1), callAt(noon + 2, { attempt: 2 })]);
    const failed = { status: FAILED, final: false, httpStatus: 500, retryAtMs: BigInt(noon * 1000 + 70_000) };
    await rig.publish(wireResult(jobId, noon));
    await rig.publish(wireResult(jobId, noon + 1, failed), wireResult(jobId, noon + 2, failed));
    await rig.allRecorded();
    const [running, retrying, ended] = (await list()).executions;
    expect(running).toMatchObject({
      status: RUNNING,
      attemptCount: 2,
      attempts: [{ status: FAILED }, { status: RUNNING }],
    });
    expect(running?.nextAttemptTime).toBeUndefined();
    expect(retrying).toMatchObject({ status: RETRYING, nextAttemptTime: { seconds: BigInt(noon + 70) } });
    expect(ended).toMatchObject({ status: SUCCESS, attempts: [{ attempt: 1, status: SUCCESS }] });
    expect(ended?.nextAttemptTime).toBeUndefined();
    for (const [i, one] of [ended, retrying].entries()) expect(await get(noon + i)).toEqual(one);
    expect(await get(noon + 2)).toMatchObject({ status: RUNNING, attemptCount: 2 });
  });

  it("stands in the list where its second is, on the page where that belongs", async () => {
    startExecutor("one", [callAt(noon + 1), callAt(noon + 3), callAt(noon + 5)]);
    await rig.publish(...[0, 2, 4].map((offset) => wireResult(jobId, noon + offset)));
    await rig.allRecorded();
    const offsets: number[][] = [];
    for (let token: string | undefined = ""; token !== undefined; ) {
      const page: Awaited<ReturnType<typeof list>> = await list(2, token);
      offsets.push(page.executions.map(({ scheduledTime }) => Number(scheduledTime?.seconds) - noon));
      token = page.nextPageToken || undefined;
    }
    expect(offsets).toEqual([
      [5, 4],
      [3, 2],
      [1, 0],
    ]);
    expect((await client.listExecutions({ jobId })).executions.map(({ status }) => status)).toEqual([
      SUCCESS,
      SUCCESS,
      SUCCESS,
    ]);
  });

  it("is asked for in one question, however many want to know, and not for what has ended", async () => {
    const executor = startExecutor("one", [callAt(noon)]);
    await rig.publish(wireResult(jobId, noon + 1));
    await rig.allRecorded();
    await get(noon + 1);
    expect(executor.questions).toEqual([]);
    await get(noon);
    const before = executor.questions.length;
    const wanted = Array.from({ length: 200 }, (_, i) => client.getExecution({ executionId: idAt(noon + 10 + i) }));
    for (const answer of await Promise.allSettled(wanted)) expect(answer.status).toBe("rejected");
    const asked = executor.questions.slice(before);
    expect(asked.flat()).toHaveLength(200);
    expect(asked.length).toBeLessThan(100);
  });

  it("of one that does not answer is done without", async () => {
    const mute = startExecutor("mute", []);
    mute.hush();
    startExecutor("one", [callAt(noon)]);
    expect(await get(noon)).toMatchObject({ status: RUNNING });
    expect(mute.questions).toHaveLength(1);
  });

  it("is nothing where there are no executors", async () => {
    await expect(get(noon)).rejects.toMatchObject({ code: "NOT_FOUND" });
    expect((await list()).executions).toEqual([]);
  });

  it("does not hide what waits for its first attempt", async () => {
    const wait = {
      status: RUNNING,
      attempt: 0,
      final: false,
      httpStatus: 0,
      durationMs: 0,
      message: "waits for its target",
    };
    await rig.publish(wireResult(jobId, noon, wait));
    await rig.allRecorded();
    const waiting = { status: RUNNING, attemptCount: 0, attempts: [], message: "waits for its target" };
    expect(await get(noon)).toMatchObject(waiting);
    expect((await list()).executions).toMatchObject([waiting]);
    startExecutor("one", [callAt(noon)]);
    await vi.waitFor(async () =>
      expect(await get(noon)).toMatchObject({ status: RUNNING, attemptCount: 1, message: "" }),
    );
  });
});
