import { cp, rm } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { JobState } from "../../../gen/carillon/v1/job_pb.ts";
import { streams } from "../../../services/wire/streams.ts";
import { type Nats, startNats } from "../../support/nats.ts";
import {
  everyHour,
  followJobs,
  type JobsStream,
  type Registry,
  removeDir,
  startRegistry,
  tempDir,
} from "../../support/registry.ts";

describe("JOBS and the registry's database, when one of them is not what it was", { timeout: 60_000 }, () => {
  let nats: Nats;
  let dataDir: string;
  let copies: string;
  let registry: Registry | undefined;
  let stream: JobsStream | undefined;

  const start = async () => {
    registry = await startRegistry({ dataDir, natsUrl: nats.url });
    return registry.jobs;
  };
  const stop = async () => {
    await registry?.stop();
    registry = undefined;
  };
  const unfollow = async () => {
    await stream?.stop();
    stream = undefined;
  };
  const follow = async () => {
    await unfollow();
    stream = await followJobs(nats.url);
    return stream;
  };
  const createMany = async (jobs: Registry["jobs"], count: number) => {
    const requests = Array.from({ length: count }, () => ({ job: everyHour }));
    return (await jobs.batchCreateJobs({ requests })).jobs.map(({ jobId }) => jobId);
  };
  const create = async (jobs: Registry["jobs"]) => (await jobs.createJob({ job: everyHour })).jobId;

  beforeEach(async () => {
    nats = await startNats({ sync: "default" });
    dataDir = await tempDir();
    copies = await tempDir();
  });
  afterEach(async () => {
    await stop();
    await unfollow();
    await nats.stop();
    await removeDir(dataDir);
    await removeDir(copies);
  });

  it("a registry whose data is gone withdraws the jobs that it cannot stop, and no other", async () => {
    const first = await start();
    const [deleted = "", ...before] = await createMany(first, 450);
    await (await follow()).until((events) => before.every((id) => events.has(id)));
    await first.deleteJob({ jobId: deleted });
    await stop();
    await rm(dataDir, { recursive: true });
    const jobs = await start();
    const own = await create(jobs);
    const { events, until } = await follow();
    await until(() => before.every((id) => events.get(id)?.deleted === true));
    expect(events.get(before[0] ?? "")?.generation).toBe(2);
    // What was deleted before is told of no more.
    expect(events.get(deleted)).toMatchObject({ generation: 2, deleted: true });
    await until(() => events.get(own)?.deleted === false);
    await jobs.updateJob({ job: { jobId: own, displayName: "stands" } });
    await until(() => events.get(own)?.job?.displayName === "stands");
  });

  it("a registry that is given an older state withdraws what it does not know, and changes back the rest from now on", async () => {
    let jobs = await start();
    const [kept, paused, deleted, runs] = await createMany(jobs, 4);
    await (await follow()).until((events) => [kept, paused, deleted, runs].every((id) => events.has(id ?? "")));
    await jobs.pauseJob({ jobId: runs ?? "" });
    await stop();
    await cp(dataDir, copies, { recursive: true });
    jobs = await start();
    await jobs.pauseJob({ jobId: paused ?? "" });
    await jobs.resumeJob({ jobId: runs ?? "" });
    await jobs.deleteJob({ jobId: deleted ?? "" });
    const later = await create(jobs);
    await stream?.until((events) => events.has(later) && events.get(deleted ?? "")?.deleted === true);
    await stop();
    await rm(dataDir, { recursive: true });
    await cp(copies, dataDir, { recursive: true });
    const restoredMs = Date.now();

    jobs = await start();
    const { events, until } = await follow();
    await until(() => events.get(later)?.deleted === true);
    await until(() => events.get(deleted ?? "")?.deleted === false);
    await until(() => events.get(paused ?? "")?.job?.state === JobState.ACTIVE);
    await until(() => events.get(runs ?? "")?.job?.state === JobState.PAUSED);
    expect(events.get(paused ?? "")).toMatchObject({ generation: 3, timingGeneration: 3, pausedGeneration: 0 });
    expect(events.get(runs ?? "")).toMatchObject({ generation: 4, pausedGeneration: 4 });
    expect(Number(events.get(deleted ?? "")?.effectiveFromMs)).toBeGreaterThanOrEqual(restoredMs);
    await until(() => events.get(kept ?? "")?.timingSequence === 1n);
    expect(events.get(kept ?? "")?.generation).toBe(1);
    // What clients see is what the streams have, and what comes next is newer than both.
    expect(await jobs.getJob({ jobId: deleted ?? "" })).toMatchObject({ generation: 3 });
    const { generation } = await jobs.pauseJob({ jobId: paused ?? "" });
    expect(generation).toBe(4);
    await until(() => events.get(paused ?? "")?.generation === 4);
  });

  it("a broker that is given an older JOBS loses again what was deleted since, and gets what was created", async () => {
    const jobs = await start();
    const [kept, deleted] = (await createMany(jobs, 2)) as [string, string];
    await (await follow()).until((events) => events.has(kept) && events.has(deleted));
    await unfollow();
    await nats.kill("SIGTERM");
    await cp(nats.storeDir, copies, { recursive: true });
    await nats.restart();
    const created = await create(jobs);
    await jobs.deleteJob({ jobId: deleted });
    await (await follow()).until((events) => events.get(deleted)?.deleted === true && events.has(created));
    // The registry has written down by then how far the stream went.
    await jobs.updateJob({ job: { jobId: kept, displayName: "newer" } });
    await jobs.updateJob({ job: { jobId: created, displayName: "newer" } });
    await unfollow();
    await nats.kill("SIGTERM");
    await rm(nats.storeDir, { recursive: true });
    await cp(copies, nats.storeDir, { recursive: true });
    await nats.restart();
    const { events, until } = await follow();
    await until(() => events.get(deleted)?.deleted === true);
    await until(() => events.get(kept)?.job?.displayName === "newer" && events.has(created));
  });

  it("stand as they are when a registry starts again, with or without something to tell", async () => {
    let jobs = await start();
    const ids = await createMany(jobs, 3);
    await (await follow()).until((events) => ids.every((id) => events.has(id)));
    await stop();
    const lastSequence = async () => (await stream?.broker.jsm.streams.info(streams.jobs))?.state.last_seq;
    const before = await lastSequence();
    jobs = await start();
    const more = await create(jobs);
    await stream?.until((events) => events.has(more));
    expect(await lastSequence()).toBe((before ?? 0) + 1);
  });
});
