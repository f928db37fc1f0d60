import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ExecutionTrigger } from "../../../gen/carillon/v1/execution_pb.ts";
import type { Broker } from "../../../services/platform/jetstream/broker.ts";
import { systemClock } from "../../../services/platform/process/clock.ts";
import { createLog } from "../../../services/platform/process/log.ts";
import { letterQueryOf } from "../../../services/registry/dead-letters/letter-query.ts";
import { createLetterReader } from "../../../services/registry/dead-letters/letter-reader.ts";
import { createRedriver } from "../../../services/registry/dead-letters/redriver.ts";
import { readDueEntry } from "../../../services/wire/due-entry.ts";
import { streams } from "../../../services/wire/streams.ts";
import { subjects } from "../../../services/wire/subjects.ts";
import { type Graveyard, openGraveyard } from "../../support/dead-letters.ts";
import { jobNamed } from "../../support/job-ids.ts";
import { type Nats, startNats } from "../../support/nats.ts";
import { everyHour, type Registry, removeDir, spawnRegistry, startRegistry, tempDir } from "../../support/registry.ts";
import { rowOf } from "../../support/registry-store-rows.ts";
import { eventually } from "../../support/rest.ts";

let nats: Nats;
let dataDir: string;
let graveyard: Graveyard;

beforeEach(async () => {
  nats = await startNats();
  graveyard = await openGraveyard(nats.url);
  dataDir = await tempDir();
});
afterEach(async () => {
  await graveyard.stop();
  await nats.stop();
  await removeDir(dataDir);
});

/** Resolves once it can reach the broker. */
const linked = (registry: Pick<Registry, "dead">) =>
  eventually(
    () => registry.dead.listDeadExecutions({ pageSize: 1 }).catch(() => undefined),
    (answer) => answer !== undefined,
  );

const seconds = (count: number, from = 1_000) => Array.from({ length: count }, (_, i) => from + i);

describe("dead executions that are redriven", () => {
  let registry: Registry;
  let jobId: string;
  const retried = async () => (await graveyard.retries()).map(({ executionId }) => executionId);

  beforeEach(async () => {
    registry = await startRegistry({ dataDir, natsUrl: nats.url });
    await linked(registry);
    jobId = (await registry.jobs.createJob({ job: everyHour })).jobId;
  });
  afterEach(() => registry.stop());

  it("are called now, under their ids, by the newest definition, with a fresh set of attempts", async () => {
    await graveyard.bury({ jobId, second: 7, attempt: 3 });
    await graveyard.bury({ jobId, second: 8, run: "m7", attempt: 1, trigger: ExecutionTrigger.MANUAL });
    await registry.jobs.updateJob({ job: { jobId, apiEndpoint: "http://127.0.0.1:9/new" } });
    const beforeMs = Date.now();
    const answer = await registry.dead.redriveExecutions({});
    expect(answer).toMatchObject({
      redrivenCount: 2,
      skippedPausedCount: 0,
      skippedDeletedCount: 0,
      nextPageToken: "",
    });
    const [first, second] = await graveyard.retries();
    if (!first?.redrive || !second?.redrive) return expect.unreachable();
    const { atMs } = first.redrive;
    expect(atMs).toBeGreaterThanOrEqual(beforeMs);
    expect(first).toMatchObject({ executionId: `${jobId}-7`, second: 7, attempt: 4, notBeforeMs: atMs });
    expect(first.redrive.attemptsBefore).toBe(3);
    expect(second).toMatchObject({ executionId: `${jobId}-m7`, second: 8, attempt: 2, redrive: { attemptsBefore: 1 } });
    const call = { jobId, generation: 2, url: "http://127.0.0.1:9/new", maxAttempts: 2 };
    expect(readDueEntry(first.entry)).toMatchObject({ ...call, executionId: "", trigger: ExecutionTrigger.SCHEDULE });
    expect(readDueEntry(second.entry)).toMatchObject({
      ...call,
      executionId: `${jobId}-m7`,
      trigger: ExecutionTrigger.MANUAL,
    });
    expect(await graveyard.dead()).toEqual([]);
  });

  it("are those of a job, a reason and a time, the oldest first, and no more than asked for", async () => {
    const other = (await registry.jobs.createJob({ job: everyHour })).jobId;
    await graveyard.bury({ jobId, second: 1 }, { jobId, second: 2, reason: "DNS_ERROR" }, { jobId: other, second: 3 });
    await graveyard.bury({ jobId, second: 4 }, { jobId, second: 5 });
    expect(await registry.dead.redriveExecutions({ jobId, reason: "TIMEOUT", maxCount: 1 })).toMatchObject({
      redrivenCount: 1,
      nextPageToken: expect.stringMatching(/./),
    });
    expect(await retried()).toEqual([`${jobId}-1`]);
    const late = timestampFromMs(Date.now() + 60_000);
    expect(await registry.dead.redriveExecutions({ startTime: late })).toMatchObject({ redrivenCount: 0 });
    const rest = await registry.dead.redriveExecutions({ jobId, reason: "TIMEOUT", endTime: late });
    expect(rest).toMatchObject({ redrivenCount: 2, nextPageToken: "" });
    expect(await retried()).toEqual([`${jobId}-1`, `${jobId}-4`, `${jobId}-5`]);
    expect(await graveyard.dead()).toEqual([`${jobId}-2`, `${other}-3`]);
  });

  it("are a thousand at once unless fewer are asked for", async () => {
    await graveyard.bury(...seconds(1_001).map((second) => ({ jobId, second })));
    const { redrivenCount, nextPageToken } = await registry.dead.redriveExecutions({});
    expect(redrivenCount).toBe(1_000);
    expect(await graveyard.dead()).toEqual([`${jobId}-2000`]);
    const last = await registry.dead.redriveExecutions({ pageToken: nextPageToken });
    expect(last).toMatchObject({ redrivenCount: 1, nextPageToken: "" });
    const { messages } = (await graveyard.broker.jsm.streams.info(streams.retry)).state;
    expect([messages, (await retried()).length]).toEqual([11, 1_001]);
  });

  it("may be named, of several jobs, and those that are not dead count nowhere", async () => {
    const other = (await registry.jobs.createJob({ job: everyHour })).jobId;
    await graveyard.bury(
      ...seconds(4, 1).map((second) => ({ jobId, second })),
      { jobId: other, second: 9, run: "m7" },
      { jobId: other, second: 10 },
    );
    const executionIds = [`${other}-m7`, `${jobId}-3`, `${jobId}-2`, `${jobId}-99`];
    const answer = await registry.dead.redriveExecutions({ executionIds });
    expect(answer).toMatchObject({ redrivenCount: 3, nextPageToken: "" });
    expect((await retried()).sort()).toEqual([`${jobId}-2`, `${jobId}-3`, `${other}-m7`].sort());
    expect(await graveyard.dead()).toEqual([`${jobId}-1`, `${jobId}-4`, `${other}-10`]);
  });

  it("may be named more than are called at once", async () => {
    const other = (await registry.jobs.createJob({ job: everyHour })).jobId;
    await graveyard.bury({ jobId, second: 1 }, { jobId, second: 2 }, { jobId: other, second: 3 });
    const request = { executionIds: [`${jobId}-1`, `${jobId}-2`, `${other}-3`], maxCount: 1 };
    const pages: number[] = [];
    let pageToken = "";
    do {
      const answer = await registry.dead.redriveExecutions({ ...request, pageToken });
      pages.push(answer.redrivenCount);
      pageToken = answer.nextPageToken;
    } while (pageToken !== "");
    expect(pages).toEqual([1, 1, 1]);
    expect(await retried()).toEqual(request.executionIds);
  });

  it("stay dead while their job is paused, and once it is deleted, and are counted", async () => {
    const paused = (await registry.jobs.createJob({ job: everyHour })).jobId;
    const deleted = (await registry.jobs.createJob({ job: everyHour })).jobId;
    const stranger = jobNamed("other");
    await graveyard.bury(...[paused, deleted, stranger, jobId, paused].map((id, i) => ({ jobId: id, second: i })));
    await registry.jobs.pauseJob({ jobId: paused });
    await registry.jobs.deleteJob({ jobId: deleted });
    expect(await registry.dead.redriveExecutions({})).toMatchObject({
      redrivenCount: 1,
      skippedPausedCount: 2,
      skippedDeletedCount: 2,
    });
    expect(await retried()).toEqual([`${jobId}-3`]);
    expect(await graveyard.dead()).toEqual([`${paused}-0`, `${deleted}-1`, `${stranger}-2`, `${paused}-4`]);
    const { deadExecutions } = await registry.dead.listDeadExecutions({ jobId: deleted });
    expect(deadExecutions).toHaveLength(1);
    await registry.jobs.resumeJob({ jobId: paused });
    expect(await registry.dead.redriveExecutions({ jobId: paused })).toMatchObject({ redrivenCount: 2 });
  });

  it("are called once, however many ask at the same time", async () => {
    const ids = seconds(300).map((second) => `${jobId}-${second}`);
    await graveyard.bury(...seconds(300).map((second) => ({ jobId, second })));
    const answers = await Promise.all([1, 2, 3].map(() => registry.dead.redriveExecutions({ jobId })));
    expect(answers.map(({ redrivenCount }) => redrivenCount).sort()).toEqual([0, 0, 300]);
    expect(await retried()).toEqual(ids);
  });

  it("are called again when they come back uncalled, under the same number and at once", async () => {
    await graveyard.bury({ jobId, second: 7 });
    await registry.dead.redriveExecutions({});
    const redrivenAtMs = (await graveyard.retries())[0]?.redrive?.atMs ?? expect.unreachable();
    await graveyard.bury({ jobId, second: 7, reason: "EXPIRED", redrivenAtMs });
    expect(await registry.dead.redriveExecutions({})).toMatchObject({ redrivenCount: 1 });
    expect((await graveyard.retries()).map(({ attempt }) => attempt)).toEqual([3, 3]);
  });

  it("are all there still, or waiting to be called, when the broker takes no more", async () => {
    await graveyard.bury(...seconds(150).map((second) => ({ jobId, second })));
    const { config } = await graveyard.broker.jsm.streams.info(streams.retry);
    await graveyard.broker.jsm.streams.update(streams.retry, { ...config, max_msgs: 1 });
    const refusal = registry.dead.redriveExecutions({});
    await expect(refusal).rejects.toMatchObject({
      code: "RESOURCE_EXHAUSTED",
      reason: "STORAGE_FULL",
      metadata: { full: "RETRY" },
    });
    expect(await retried()).toHaveLength(100);
    expect(await graveyard.dead()).toEqual(seconds(50, 1_100).map((second) => `${jobId}-${second}`));
    await graveyard.broker.jsm.streams.update(streams.retry, config);
    expect(await registry.dead.redriveExecutions({})).toMatchObject({ redrivenCount: 50, nextPageToken: "" });
  });

  it("are stored once when the same letters are redriven twice, since they could not be removed", async () => {
    await graveyard.bury({ jobId, second: 7 }, { jobId, second: 8 });
    const { broker } = graveyard;
    const cannotRemove: Broker = Object.create(broker, {
      jsm: { value: { streams: { deleteMessage: () => Promise.reject(new Error("the connection was lost")) } } },
    });
    const deps = { clock: systemClock, log: createLog("test", "silent") };
    const store = { findStates: async () => [rowOf(jobId)] };
    const readLetters = createLetterReader(broker, deps);
    const { letters } = await readLetters(letterQueryOf({ jobId, reason: "" }), { stretch: 0, sequence: 0 }, 10);
    const redrive = createRedriver(cannotRemove, { ...deps, store });
    await expect(redrive(letters)).rejects.toThrow("the connection was lost");
    expect(await graveyard.dead()).toHaveLength(2);
    expect(await registry.dead.redriveExecutions({})).toMatchObject({ redrivenCount: 2 });
    expect(await retried()).toEqual([`${jobId}-7`, `${jobId}-8`]);
    expect(await graveyard.dead()).toEqual([]);
  });

  it("are named by what is wrong with the request", async () => {
    await expect(
      registry.dead.redriveExecutions({ jobId, executionIds: [`${jobId}-7`], reason: "TIMEOUT" }),
    ).rejects.toMatchObject({ code: "INVALID_ARGUMENT", fieldViolations: [{ field: "reason" }] });
    await expect(registry.dead.redriveExecutions({ maxCount: 1_001 })).rejects.toMatchObject({
      fieldViolations: [{ field: "max_count" }],
    });
    await expect(registry.dead.redriveExecutions({ jobId: jobNamed("nobody") })).rejects.toMatchObject({
      code: "NOT_FOUND",
    });
  });
});

describe("a registry that is killed while it redrives", () => {
  it("has lost none, and the next start calls the rest", async () => {
    const first = await spawnRegistry({ dataDir, natsUrl: nats.url });
    await linked(first);
    const { jobId } = await first.jobs.createJob({ job: everyHour });
    const ids = seconds(1_000).map((second) => `${jobId}-${second}`);
    await graveyard.bury(...seconds(1_000).map((second) => ({ jobId, second })));
    // As soon as the first message is on its way: its letters are not removed yet, or some of them.
    const published = graveyard.broker.nc.subscribe(subjects.retry(0).replace(/0$/, "*"), { max: 1 });
    const answer = first.dead.redriveExecutions({ jobId }).catch((error: unknown) => error);
    for await (const _ of published) await first.kill("SIGKILL");
    expect(await answer).toBeInstanceOf(Error);
    const called = (await graveyard.retries()).map(({ executionId }) => executionId);
    const left = await graveyard.dead();
    expect(new Set([...called, ...left])).toEqual(new Set(ids));
    expect(left.length).toBeGreaterThan(0);

    const second = await startRegistry({ dataDir, natsUrl: nats.url });
    await linked(second);
    expect(await second.dead.redriveExecutions({ jobId })).toMatchObject({ redrivenCount: left.length });
    await second.stop();
    expect(await graveyard.dead()).toEqual([]);
    const all = await graveyard.retries();
    expect(new Set(all.map(({ executionId }) => executionId))).toEqual(new Set(ids));
    // What is called twice has the same number twice.
    expect(new Set(all.map(({ attempt }) => attempt))).toEqual(new Set([3]));
  });
});
