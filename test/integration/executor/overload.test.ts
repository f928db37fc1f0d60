import { create, toBinary } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DueEntrySchema, RetryBatchSchema } from "../../../gen/carillon/v1/events_pb.ts";
import { ExecutionStatus } from "../../../gen/carillon/v1/execution_pb.ts";
import { executionIdOf } from "../../../services/domain/identity/execution-id.ts";
import { streams } from "../../../services/wire/streams.ts";
import { subjects } from "../../../services/wire/subjects.ts";
import { dueEntry, type ExecutorRig, nextSecond, startExecutorRig } from "../../support/executor-rig.ts";
import { jobNamed, jobsNamed } from "../../support/job-ids.ts";
import { eventually } from "../../support/rest.ts";
import { startTarget, type Target } from "../../support/target.ts";

describe("an executor with more to do than its targets take", { timeout: 120_000 }, () => {
  let rig: ExecutorRig;
  let target: Target;

  beforeAll(async () => {
    target = await startTarget();
    rig = await startExecutorRig();
    await rig.startExecutor();
  });
  afterAll(async () => {
    await rig.stop();
    await target.stop();
  });

  const messagesIn = async (stream: string) => (await rig.broker.jsm.streams.info(stream)).state.messages;
  const lately = nextSecond(0) - 10;
  const retryEntry = (jobId: string, path: string, notBeforeMs: number) => ({
    entry: toBinary(DueEntrySchema, dueEntry({ jobId, url: target.url(path) })),
    executionId: executionIdOf(jobId, lately),
    second: BigInt(lately),
    attempt: 2,
    notBeforeMs: BigInt(notBeforeMs),
  });
  const publishRetry = (entries: Parameters<typeof create<typeof RetryBatchSchema>>[1], partition: number) =>
    rig.publisher.publish(subjects.retry(partition), toBinary(RetryBatchSchema, create(RetryBatchSchema, entries)));

  it("moves what a hanging target does not take to its lane, lets go of the due messages, and calls each once when it answers", async () => {
    const answers = Promise.withResolvers<void>();
    target.on("/hang", { after: answers.promise });
    const second = nextSecond(0);
    const ids = jobsNamed("h", 300);
    for (let i = 0; i < ids.length; i += 100) {
      await rig.due(
        second,
        ids.slice(i, i + 100).map((jobId) => dueEntry({ jobId, url: target.url("/hang") })),
      );
    }
    // Neither what is on the wire nor what waits for its target holds up anything any more.
    await eventually(
      () => messagesIn(streams.due),
      (messages) => messages === 0,
    );
    expect(await messagesIn(streams.lanes)).toBeGreaterThan(0);
    expect(await messagesIn(streams.running)).toBeGreaterThan(0);
    expect(target.arrivals("/hang").length).toBeLessThanOrEqual(64);
    answers.resolve();
    target.on("/hang", {});
    for (const jobId of ids) {
      const [result] = await rig.settled(jobId, second);
      expect(result).toMatchObject({ attempt: 1, status: ExecutionStatus.SUCCESS });
    }
    const called = target.arrivals("/hang").map(({ executionId }) => executionId);
    expect(called.toSorted()).toEqual(ids.map((jobId) => executionIdOf(jobId, second)).toSorted());
    await rig.drained();
  });

  it("makes a retry that is due while thousands wait for theirs", async () => {
    const inAnHour = Date.now() + 3_600_000;
    const waiting = jobsNamed("w", 9_000).map((jobId, i) =>
      publishRetry({ entries: [retryEntry(jobId, "/later", inAnHour)] }, i % 64),
    );
    await Promise.all(waiting);
    await publishRetry({ entries: [retryEntry(jobNamed("now"), "/now", Date.now())] }, 0);
    await target.until(() => target.arrivals("/now").length === 1);
    expect(target.arrivals("/later")).toEqual([]);
    await rig.broker.jsm.streams.purge(streams.retry);
  });

  it("makes what it can read of a message, puts the rest aside, and goes on", async () => {
    const unreadable = { ...retryEntry(jobNamed("torn"), "/torn", 0), entry: Uint8Array.of(0x0a, 0xff) };
    await publishRetry({ entries: [retryEntry(jobNamed("beside"), "/beside", 0), unreadable] }, 1);
    await target.until(() => target.arrivals("/beside").length === 1);
    await rig.drained();
  });
});
