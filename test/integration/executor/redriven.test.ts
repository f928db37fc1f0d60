import { create, toBinary } from "@bufbuild/protobuf";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { DueEntrySchema } from "../../../gen/carillon/v1/events_pb.ts";
import { ExecutionStatus } from "../../../gen/carillon/v1/execution_pb.ts";
import { JobState } from "../../../gen/carillon/v1/job_pb.ts";
import { executionIdOf } from "../../../services/domain/identity/execution-id.ts";
import { partitionOf } from "../../../services/domain/identity/partition.ts";
import { readDeadLetter } from "../../../services/wire/dead-letter.ts";
import { readRetryBatch, retryBatchId, retryName, writeRetryBatch } from "../../../services/wire/retry-batch.ts";
import { streams } from "../../../services/wire/streams.ts";
import { subjects } from "../../../services/wire/subjects.ts";
import { brief, dueEntry, type ExecutorRig, startExecutorRig } from "../../support/executor-rig.ts";
import { jobsNamed } from "../../support/job-ids.ts";
import { eventually } from "../../support/rest.ts";
import { startTarget, type Target } from "../../support/target.ts";

const { SUCCESS, FAILED } = ExecutionStatus;
const deps = { url: "", maxAttempts: 2 };
const longAgo = 1_600_000_000;

describe("an execution that was dead and is redriven", () => {
  let rig: ExecutorRig;
  let target: Target;
  let jobs = 0;
  let jobId: string;

  beforeAll(async () => {
    target = await startTarget();
    rig = await startExecutorRig();
    await rig.startExecutor();
  });
  afterAll(async () => {
    await rig.stop();
    await target.stop();
  });
  beforeEach(() => {
    jobId = `017f22e2-79b0-7cc3-98c5-${(jobs++).toString(16).padStart(12, "0")}`;
  });

  /** As the registry has it called again after its `attemptsBefore`. */
  const redrive = async (path: string, attemptsBefore: number, over: Partial<typeof deps> & { atMs?: number } = {}) => {
    const { atMs = Date.now(), ...call } = over;
    const due = dueEntry({ ...deps, jobId, ...call, url: target.url(path), expireAfterS: 60 });
    const entry = {
      entry: toBinary(DueEntrySchema, create(DueEntrySchema, due)),
      executionId: executionIdOf(jobId, longAgo),
      second: longAgo,
      attempt: attemptsBefore + 1,
      notBeforeMs: atMs,
      redrive: { atMs, attemptsBefore },
    };
    const messageId = retryBatchId([retryName(entry)]);
    const answer = await rig.publisher.publish(subjects.retry(0), writeRetryBatch([entry]), { messageId });
    expect(answer).toMatchObject({ kind: "stored", duplicate: false });
  };
  const settled = async () => (await rig.settled(jobId, longAgo)).map(brief);
  const letters = async (count: number) => {
    for (;;) {
      const { subjects: counts } = (
        await rig.broker.jsm.streams.info(streams.dead, { subjects_filter: subjects.dead(partitionOf(jobId), jobId) })
      ).state;
      if (Object.values(counts ?? {})[0] === count) break;
    }
    const last = await rig.broker.jsm.streams.getMessage(streams.dead, {
      last_by_subj: subjects.dead(partitionOf(jobId), jobId),
    });
    return readDeadLetter(last.data).result;
  };

  it("is called though its second is long ago, under its id, and its attempts are numbered on", async () => {
    await redrive("/again", 3);
    expect(await settled()).toEqual([{ attempt: 4, status: SUCCESS, final: true, httpStatus: 200, reason: "" }]);
    const [arrival] = target.arrivals("/again");
    expect(arrival).toMatchObject({ executionId: executionIdOf(jobId, longAgo), attempt: 4 });
    expect(arrival?.headers["idempotency-key"]).toBe(executionIdOf(jobId, longAgo));
  });

  it("has as many attempts as its job gives it, and is dead once more behind them", async () => {
    target.on("/500", { status: 500 });
    await redrive("/500", 3, { maxAttempts: 3 });
    const failed = { status: FAILED, httpStatus: 500, reason: "HTTP_STATUS" };
    expect(await settled()).toEqual([
      { attempt: 4, final: false, ...failed },
      { attempt: 5, final: false, ...failed },
      { attempt: 6, final: true, ...failed },
    ]);
    expect(await letters(1)).toMatchObject({ attempt: 6, httpStatus: 500 });
  });

  it("is dead as before when its job is paused, at once and at its second time", async () => {
    await rig.change(jobId, { generation: 7, state: JobState.PAUSED, url: target.url("/paused") });
    for (const count of [1, 2]) {
      await redrive("/paused", 3, { atMs: Date.now() + count });
      const letter = await letters(count);
      expect(letter).toMatchObject({ attempt: 3, status: FAILED, reason: "JOB_PAUSED", httpStatus: 0 });
      await rig.drained();
    }
    expect(target.arrivals("/paused")).toEqual([]);
    // History has it as FAILED: there is nothing to tell it.
    expect(rig.results.filter((one) => one.jobId === jobId)).toEqual([]);
  });

  it("may start as late after that as it could after its second, and is dead as before when it could not", async () => {
    await redrive("/too-late", 3, { atMs: Date.now() - 61_000 });
    expect(await letters(1)).toMatchObject({ attempt: 3, reason: "EXPIRED" });
    expect(target.arrivals("/too-late")).toEqual([]);
  });
});

describe("executions that are redriven while their target hangs", { timeout: 120_000 }, () => {
  it("keep their fresh set of attempts in lanes, and on the wire for long", async () => {
    const target = await startTarget();
    const rig = await startExecutorRig();
    await rig.startExecutor();
    const answers = Promise.withResolvers<void>();
    target.on("/", { status: 500, after: answers.promise });
    const jobIds = jobsNamed("r", 100);
    const redrive = { atMs: Date.now(), attemptsBefore: 3 };
    const entries = jobIds.map((jobId) => ({
      entry: toBinary(DueEntrySchema, dueEntry({ jobId, url: target.url("/"), expireAfterS: 600, timeoutMs: 60_000 })),
      executionId: executionIdOf(jobId, longAgo),
      second: longAgo,
      attempt: 4,
      notBeforeMs: redrive.atMs,
      redrive,
    }));
    await rig.publisher.publish(subjects.retry(0), writeRetryBatch(entries));
    const first = (stream: string) =>
      eventually(
        () => rig.broker.jsm.streams.getMessage(stream, { seq: 1 }).catch(() => undefined),
        (message) => message !== undefined,
      );
    for (const stream of [streams.running, streams.lanes]) {
      const message = await first(stream);
      const [entry] = readRetryBatch(message?.data ?? new Uint8Array()).entries;
      expect(entry).toMatchObject({ attempt: 4, redrive });
    }
    target.on("/", { status: 500 });
    answers.resolve();
    for (const jobId of jobIds) {
      const numbers = (await rig.settled(jobId, longAgo)).map(({ attempt, final }) => [attempt, final]);
      expect(numbers).toEqual([
        [4, false],
        [5, true],
      ]);
    }
    await rig.stop();
    await target.stop();
  });
});

describe("a redriven execution whose executor died with it", () => {
  it.each([
    ["is called when history knows the attempts before it alone", FAILED, 3, 1],
    ["is not called again when history has the attempt", FAILED, 4, 0],
    ["is not called again when it has succeeded", SUCCESS, 3, 0],
  ])("%s", async (_, status, known, calls) => {
    const target = await startTarget();
    const rig = await startExecutorRig();
    const jobId = "017f22e2-79b0-7cc3-98c6-000000000001";
    const executionId = executionIdOf(jobId, longAgo);
    rig.attempts.set(executionId, known);
    rig.statuses.set(executionId, status);
    const atMs = Date.now();
    const due = dueEntry({ jobId, url: target.url("/") });
    const entry = { entry: toBinary(DueEntrySchema, due), executionId, second: longAgo, attempt: 4, notBeforeMs: atMs };
    const payload = writeRetryBatch([{ ...entry, redrive: { atMs, attemptsBefore: 3 } }]);
    await rig.publisher.publish(subjects.retry(0), payload);
    // One that takes it and is heard of no more.
    const consumer = await rig.broker.js.consumers.get(streams.retry, "executor-retry");
    const taken = await consumer.next();
    taken?.nak();
    await rig.startExecutor();
    await rig.drained();
    expect(target.arrivals("/")).toHaveLength(calls);
    await rig.stop();
    await target.stop();
  });
});
