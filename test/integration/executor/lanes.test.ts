import { once } from "node:events";
import { toBinary } from "@bufbuild/protobuf";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { DueEntrySchema } from "../../../gen/carillon/v1/events_pb.ts";
import { ExecutionStatus } from "../../../gen/carillon/v1/execution_pb.ts";
import { executionIdOf } from "../../../services/domain/identity/execution-id.ts";
import { writeRetryBatch } from "../../../services/wire/retry-batch.ts";
import { streams } from "../../../services/wire/streams.ts";
import { subjects } from "../../../services/wire/subjects.ts";
import { dueEntry, type ExecutorRig, nextSecond, startExecutorRig } from "../../support/executor-rig.ts";
import { jobNamed, jobsNamed } from "../../support/job-ids.ts";
import { eventually } from "../../support/rest.ts";
import { startTarget, type Target } from "../../support/target.ts";

describe("lanes", { timeout: 120_000 }, () => {
  let rig: ExecutorRig;
  let hanging: Target;
  let quick: Target;

  beforeEach(async () => {
    hanging = await startTarget();
    quick = await startTarget();
    rig = await startExecutorRig();
  });
  afterEach(async () => {
    await rig.stop();
    await hanging.stop();
    await quick.stop();
  });

  const messagesIn = async (stream: string) => (await rig.broker.jsm.streams.info(stream)).state.messages;
  const empties = (stream: string) =>
    eventually(
      () => messagesIn(stream),
      (messages) => messages === 0,
    );
  const fills = (stream: string) =>
    eventually(
      () => messagesIn(stream),
      (messages) => messages > 0,
    );
  const timesCalled = (target: Target, jobId: string, second: number) =>
    target.arrivals().filter(({ executionId }) => executionId === executionIdOf(jobId, second)).length;

  it("let go of the due message of a call that takes long, and call it once", async () => {
    await rig.startExecutor();
    const answers = Promise.withResolvers<void>();
    hanging.on("/", { after: answers.promise });
    const second = nextSecond();
    const jobId = jobNamed("long");
    await rig.due(second, [dueEntry({ jobId, url: hanging.url("/") })]);
    await hanging.until(() => hanging.arrivals().length === 1);
    await empties(streams.due);
    expect(await messagesIn(streams.running)).toBe(1);
    expect(rig.results).toEqual([]);
    answers.resolve();
    expect(await rig.settled(jobId, second)).toMatchObject([{ attempt: 1, status: ExecutionStatus.SUCCESS }]);
    await rig.drained();
    expect(timesCalled(hanging, jobId, second)).toBe(1);
  });

  it("have the long calls of an executor that was killed made by another, and none of one that lives", async () => {
    hanging.on("/", { hang: true });
    const second = nextSecond();
    const [lost = "", living = ""] = jobsNamed("l", 2);
    const doomed = await rig.spawnExecutor();
    await rig.due(second, [dueEntry({ jobId: lost, url: hanging.url("/") })]);
    await hanging.until(() => hanging.arrivals().length === 1);
    await empties(streams.due);
    await rig.startExecutor();
    doomed.kill("SIGSTOP");
    // The other one gets it, since the first takes nothing any more.
    await rig.due(second, [dueEntry({ jobId: living, url: hanging.url("/living") })]);
    hanging.on("/living", { hang: true });
    const exited = once(doomed, "exit");
    doomed.kill("SIGKILL");
    await exited;
    hanging.on("/", {});
    await rig.settled(lost, second);
    expect(timesCalled(hanging, lost, second)).toBe(2);
    expect(timesCalled(hanging, living, second)).toBeLessThanOrEqual(1);
  });

  it("have the long calls of an executor that stops made by others at once", async () => {
    hanging.on("/", { hang: true });
    const second = nextSecond();
    const jobId = jobNamed("stop");
    const first = await rig.startExecutor({ executorId: "first" });
    await rig.due(second, [dueEntry({ jobId, url: hanging.url("/") })]);
    await hanging.until(() => hanging.arrivals().length === 1);
    await empties(streams.due);
    await fills(streams.running);
    await rig.startExecutor({ executorId: "second" });
    hanging.on("/", {});
    await first.stop();
    await rig.settled(jobId, second);
    await rig.drained();
    expect(timesCalled(hanging, jobId, second)).toBe(2);
  });

  it("take what is due for a target that hangs out of the way at once, and drain oldest first when it answers", async () => {
    await rig.startExecutor();
    const answers = Promise.withResolvers<void>();
    hanging.on("/", { after: answers.promise });
    const second = nextSecond();
    const entries = (jobs: readonly string[]) =>
      jobs.map((jobId) => dueEntry({ jobId, url: hanging.url("/"), timeoutMs: 60_000 }));
    await rig.due(second, entries(jobsNamed("h", 70)));
    await hanging.until(() => hanging.arrivals().length > 0);
    await fills(streams.lanes);
    const moved = [jobsNamed("i", 50), jobsNamed("j", 50)];
    for (const [i, jobs] of moved.entries()) await rig.due(second + 10 + i, entries(jobs));
    const quicks = jobsNamed("q", 100);
    const quickSecond = nextSecond();
    await rig.due(
      quickSecond,
      quicks.map((jobId) => dueEntry({ jobId, url: quick.url("/") })),
    );
    for (const jobId of quicks) await rig.settled(jobId, quickSecond);
    await empties(streams.due);
    // History shows that they wait, once each, and of the others nothing.
    const told = () => rig.waits.map(({ executionId }) => executionId);
    const toldOf = moved.flatMap((jobs, i) => jobs.map((jobId) => executionIdOf(jobId, second + 10 + i)));
    await eventually(
      async () => told(),
      (ids) => toldOf.every((id) => ids.includes(id)),
    );
    expect(new Set(told()).size).toBe(told().length);
    expect(rig.waits[0]).toMatchObject({
      attempt: 0,
      final: false,
      message: `waits for its target, ${hanging.origin}`,
    });
    hanging.on("/", {});
    answers.resolve();
    for (const [i, jobs] of moved.entries()) {
      for (const jobId of jobs) await rig.settled(jobId, second + 10 + i);
    }
    await rig.drained();
    for (const [i, jobs] of moved.entries()) {
      for (const jobId of jobs) expect(timesCalled(hanging, jobId, second + 10 + i)).toBe(1);
    }
  });

  it("record what could not start within expire_after as expired, without a call", async () => {
    await rig.startExecutor();
    hanging.on("/", { hang: true });
    const second = nextSecond();
    const jobs = jobsNamed("e", 100);
    await rig.due(
      second,
      jobs.map((jobId) => dueEntry({ jobId, url: hanging.url("/"), timeoutMs: 90_000, expireAfterS: 6 })),
    );
    await rig.until(
      (results) => results.filter(({ status }) => status === ExecutionStatus.SKIPPED_EXPIRED).length > 20,
    );
    const expired = rig.results.filter(({ status }) => status === ExecutionStatus.SKIPPED_EXPIRED);
    for (const { jobId, reason, attempt } of expired) {
      expect({ reason, attempt }).toEqual({ reason: "EXPIRED", attempt: 0 });
      expect(timesCalled(hanging, jobId, second)).toBe(0);
    }
  });

  it("call what waits for a target that hangs at the new one once its job has another, and nothing of a job that is gone", async () => {
    await rig.startExecutor();
    hanging.on("/", { hang: true });
    const second = nextSecond();
    const [changed = "", deleted = ""] = jobsNamed("t", 2);
    const first = jobsNamed("h", 80);
    const entryFor = (jobId: string) => dueEntry({ jobId, url: hanging.url("/"), timeoutMs: 90_000 });
    await rig.due(second, [...first, changed, deleted].map(entryFor));
    await fills(streams.lanes);
    await empties(streams.due);
    await rig.change(changed, { generation: 2, url: quick.url("/new") });
    await rig.change(deleted, { generation: 2, deleted: true });
    expect(await rig.settled(changed, second)).toMatchObject([{ attempt: 1, status: ExecutionStatus.SUCCESS }]);
    expect(await rig.settled(deleted, second)).toMatchObject([{ attempt: 0, reason: "JOB_DELETED" }]);
    expect(quick.arrivals("/new")).toHaveLength(1);
  });

  it("repeat no retry that ended while another of its record was still on the wire", async () => {
    const answers = Promise.withResolvers<void>();
    hanging.on("/ends", { after: answers.promise });
    hanging.on("/hangs", { hang: true });
    const second = nextSecond(0) - 10;
    const [ended = "", open = ""] = jobsNamed("r", 2);
    const entryFor = (jobId: string, path: string) => ({
      entry: toBinary(DueEntrySchema, dueEntry({ jobId, url: hanging.url(path), maxAttempts: 3 })),
      executionId: executionIdOf(jobId, second),
      second,
      attempt: 2,
      notBeforeMs: 0,
      redrive: undefined,
    });
    const first = await rig.startExecutor({ executorId: "first" });
    const batch = writeRetryBatch([entryFor(ended, "/ends"), entryFor(open, "/hangs")]);
    await rig.publisher.publish(subjects.retry(0), batch);
    await fills(streams.running);
    answers.resolve();
    await rig.settled(ended, second);
    rig.attempts.set(executionIdOf(ended, second), 2);
    rig.statuses.set(executionIdOf(ended, second), ExecutionStatus.SUCCESS);
    rig.attempts.set(executionIdOf(open, second), 1);
    hanging.on("/hangs", {});
    await rig.startExecutor({ executorId: "second" });
    await first.stop();
    await rig.settled(open, second);
    await rig.drained();
    expect(timesCalled(hanging, ended, second)).toBe(1);
    expect(timesCalled(hanging, open, second)).toBe(2);
  });
});
