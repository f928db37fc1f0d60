import { once } from "node:events";
import { nanos } from "nats";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ExecutionStatus } from "../../../gen/carillon/v1/execution_pb.ts";
import { JobState } from "../../../gen/carillon/v1/job_pb.ts";
import { executionIdOf } from "../../../services/domain/identity/execution-id.ts";
import { consumers, streams } from "../../../services/wire/streams.ts";
import { brief, dueEntry, type ExecutorRig, nextSecond, startExecutorRig } from "../../support/executor-rig.ts";
import { jobsNamed } from "../../support/job-ids.ts";
import { startTarget, type Target } from "../../support/target.ts";

const { SUCCESS, SKIPPED_PAUSED } = ExecutionStatus;
const jobIds = (count: number) => jobsNamed("j", count);

describe("executors that die and stop", () => {
  let rig: ExecutorRig;
  let target: Target;

  beforeEach(async () => {
    target = await startTarget();
    rig = await startExecutorRig();
  });
  afterEach(async () => {
    await rig.stop();
    await target.stop();
  });

  const settleAll = async (jobs: readonly string[], second: number) => {
    for (const jobId of jobs) await rig.settled(jobId, second);
  };
  const timesCalled = (jobId: string, second: number) =>
    target.arrivals().filter((one) => one.executionId === executionIdOf(jobId, second)).length;

  it("an executor that is killed in the middle of a batch loses no occurrence, and what was recorded is not called again", async () => {
    const jobs = jobIds(100);
    const second = nextSecond();
    // The first half answers at once, the second only after the crash.
    target.on("/slow", { hang: true });
    const first = await rig.spawnExecutor();
    await rig.due(
      second,
      jobs.map((jobId, i) => dueEntry({ jobId, url: target.url(i < 50 ? "/quick" : "/slow") })),
    );
    await settleAll(jobs.slice(0, 50), second);
    await target.until(() => target.arrivals("/slow").length > 0);
    for (const result of rig.results) rig.recorded.add(result.executionId);
    const exited = once(first, "exit");
    first.kill("SIGKILL");
    await exited;
    target.on("/slow", {});
    await rig.startExecutor();
    await settleAll(jobs, second);
    await rig.drained();
    for (const jobId of jobs.slice(0, 50)) expect(timesCalled(jobId, second), jobId).toBe(1);
    for (const jobId of jobs.slice(50)) expect(timesCalled(jobId, second), jobId).toBeGreaterThanOrEqual(1);
    expect(rig.asked.length).toBeGreaterThan(0);
  });

  it("an executor that is killed while retries wait leaves them to another, which makes only those that are not recorded", async () => {
    const jobs = jobIds(20);
    const [made = "", ...open] = jobs;
    const second = nextSecond(0);
    // Long enough for the crash to come first.
    target.on("/", (arrival) => (arrival.attempt === 1 ? { status: 503, headers: { "Retry-After": "4" } } : {}));
    const first = await rig.spawnExecutor();
    await rig.due(
      second,
      jobs.map((jobId) => dueEntry({ jobId, url: target.url("/") })),
    );
    await rig.until((results) => results.filter((one) => !one.final).length === jobs.length);
    const exited = once(first, "exit");
    first.kill("SIGKILL");
    await exited;
    for (const jobId of jobs) {
      const id = executionIdOf(jobId, second);
      rig.recorded.add(id);
      rig.attempts.set(id, jobId === made ? 2 : 1);
    }
    await rig.startExecutor();
    await settleAll(open, second);
    await rig.drained();
    for (const jobId of open) expect(timesCalled(jobId, second), jobId).toBe(2);
    expect(timesCalled(made, second)).toBe(1);
  });

  it("a broker that dies while calls are on the wire costs neither a result nor a second call", async () => {
    const jobs = jobIds(100);
    const second = nextSecond();
    await rig.startExecutor();
    target.on("/", { delayMs: 300 });
    await rig.due(
      second,
      jobs.map((jobId) => dueEntry({ jobId, url: target.url("/") })),
    );
    await target.until(() => target.arrivals().length > 0);
    await rig.nats.kill("SIGKILL");
    await target.until(() => target.arrivals().length === 100);
    await rig.nats.restart();
    await settleAll(jobs, second);
    await rig.drained();
    for (const jobId of jobs) expect(timesCalled(jobId, second), jobId).toBe(1);
  });

  it("an executor that stops gives back what it holds, for another to fire without an ack wait in between", async () => {
    const jobs = jobIds(10);
    const leaving = await rig.startExecutor();
    await rig.startExecutor({ executorId: "staying" });
    // What was not given back would come again after the end of this test.
    await rig.broker.jsm.consumers.update(streams.due, consumers.due, { ack_wait: nanos(600_000) });
    const second = nextSecond(3_000);
    for (const jobId of jobs) await rig.due(second, [dueEntry({ jobId, url: target.url("/") })]);
    await leaving.stop();
    await settleAll(jobs, second);
    for (const jobId of jobs) expect(timesCalled(jobId, second), jobId).toBe(1);
  });

  it("an executor that stops lets the calls on the wire end, and stores their results", async () => {
    const [jobId = ""] = jobIds(1);
    const executor = await rig.startExecutor();
    target.on("/", { delayMs: 500 });
    const second = nextSecond(0);
    await rig.due(second, [dueEntry({ jobId, url: target.url("/") })]);
    await target.until(() => target.arrivals().length === 1);
    await executor.stop();
    expect((await rig.settled(jobId, second)).map(brief)).toMatchObject([{ status: SUCCESS, final: true }]);
    await rig.drained();
  });

  it("an executor that starts after a job was paused does not fire what was published before", async () => {
    const [paused = "", active = ""] = jobIds(2);
    const second = nextSecond(0);
    await rig.due(
      second,
      [paused, active].map((jobId) => dueEntry({ jobId, url: target.url("/") })),
    );
    await rig.change(paused, { generation: 2, timingGeneration: 2, state: JobState.PAUSED });
    await rig.startExecutor();
    expect((await rig.settled(paused, second)).map(brief)).toMatchObject([{ status: SKIPPED_PAUSED }]);
    expect((await rig.settled(active, second)).map(brief)).toMatchObject([{ status: SUCCESS }]);
    expect(target.arrivals().map((one) => one.executionId)).toEqual([executionIdOf(active, second)]);
  });

  it("history that does not answer holds up no redelivered occurrence", async () => {
    const [jobId = ""] = jobIds(1);
    const second = nextSecond(0);
    await rig.startExecutor({ historyAddress: { host: "127.0.0.1", port: 9 } });
    await rig.due(second, [dueEntry({ jobId, url: target.url("/") })], { mayRepeat: true });
    expect((await rig.settled(jobId, second)).map(brief)).toMatchObject([{ status: SUCCESS }]);
  });
});
