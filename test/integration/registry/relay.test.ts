import { fromBinary } from "@bufbuild/protobuf";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { DueBatchSchema, DueEntrySchema, JobEventSchema } from "../../../gen/carillon/v1/events_pb.ts";
import { ExecutionTrigger } from "../../../gen/carillon/v1/execution_pb.ts";
import { JobState } from "../../../gen/carillon/v1/job_pb.ts";
import { partitionOf } from "../../../services/domain/identity/partition.ts";
import { createConsumerLoop } from "../../../services/platform/jetstream/consumer-loop.ts";
import { systemClock } from "../../../services/platform/process/clock.ts";
import { createLog } from "../../../services/platform/process/log.ts";
import { consumers, streams } from "../../../services/wire/streams.ts";
import { subjects } from "../../../services/wire/subjects.ts";
import { type Nats, startNats } from "../../support/nats.ts";
import {
  everyHour,
  followJobs,
  type JobsStream,
  type Registry,
  removeDir,
  spawnRegistry,
  startRegistry,
  tempDir,
} from "../../support/registry.ts";

describe("what the registry tells the streams", { timeout: 60_000 }, () => {
  let nats: Nats;
  let dataDir: string;
  let ending: (() => Promise<unknown>)[];
  const later = <T extends { stop(): Promise<unknown> }>(part: T): T => {
    ending.push(() => part.stop());
    return part;
  };
  const registry = async (): Promise<Registry> => later(await startRegistry({ dataDir, natsUrl: nats.url }));
  const follow = async (): Promise<JobsStream> => later(await followJobs(nats.url));

  beforeEach(async () => {
    ending = [];
    nats = await startNats({ sync: "default" });
    dataDir = await tempDir();
  });
  afterEach(async () => {
    for (const end of ending.reverse()) await end();
    await nats.stop();
    await removeDir(dataDir);
  });

  it("is each job's last state, its defaults filled in", async () => {
    const { jobs } = await registry();
    const job = await jobs.createJob({ job: everyHour });
    const stream = await follow();
    await stream.until((events) => events.has(job.jobId));
    expect(stream.events.get(job.jobId)).toMatchObject({
      generation: 1,
      deleted: false,
      timingGeneration: 1,
      timingSequence: 0n,
      effectiveFromMs: BigInt(Number(job.createdAt?.seconds) * 1000 + (job.createdAt?.nanos ?? 0) / 1e6),
      job: { jobId: job.jobId, timeZone: "UTC", retry: { maxAttempts: 2 }, http: { timeout: { seconds: 30n } } },
    });
    const subject = subjects.job(partitionOf(job.jobId), job.jobId);
    expect((await stream.broker.jsm.streams.getMessage(streams.jobs, { last_by_subj: subject })).subject).toBe(subject);
  });

  it("tells a new timing from a change that leaves it alone", async () => {
    const { jobs } = await registry();
    const stream = await follow();
    const { jobId } = await jobs.createJob({ job: everyHour });
    await stream.until((events) => events.has(jobId));
    const firstSequence = stream.sequences.get(jobId);

    await jobs.updateJob({ job: { jobId, displayName: "named" } });
    await stream.until((events) => events.get(jobId)?.generation === 2);
    expect(stream.events.get(jobId)).toMatchObject({ timingGeneration: 1, timingSequence: BigInt(firstSequence ?? 0) });

    await jobs.pauseJob({ jobId });
    await stream.until((events) => events.get(jobId)?.generation === 3);
    expect(stream.events.get(jobId)).toMatchObject({ timingGeneration: 3, timingSequence: 0n });

    await jobs.deleteJob({ jobId });
    await stream.until((events) => events.get(jobId)?.deleted === true);
    expect(stream.events.get(jobId)).toMatchObject({ generation: 4, timingGeneration: 4 });
    expect(stream.events.get(jobId)?.job).toBeUndefined();
    // A tombstone does not stay for ever.
    const subject = subjects.job(partitionOf(jobId), jobId);
    const tombstone = await stream.broker.jsm.streams.getMessage(streams.jobs, { last_by_subj: subject });
    expect(Number(tombstone.header.get("Nats-TTL"))).toBeGreaterThan(24 * 3_600);
  });

  it("has a change by the time that its caller is answered, also behind a bulk load", async () => {
    const { jobs } = await registry();
    const stream = await follow();
    const { jobId } = await jobs.createJob({ job: everyHour });
    await stream.until((events) => events.has(jobId));
    const bulk = createMany(jobs, 1_000);
    const subject = subjects.job(partitionOf(jobId), jobId);
    for (let i = 0; i < 10; i++) {
      const { generation } = i % 2 === 0 ? await jobs.pauseJob({ jobId }) : await jobs.resumeJob({ jobId });
      const last = await stream.broker.jsm.streams.getMessage(streams.jobs, { last_by_subj: subject });
      expect(fromBinary(JobEventSchema, last.data).generation).toBe(generation);
    }
    await Promise.all([jobs.pauseJob({ jobId }), jobs.pauseJob({ jobId })]);
    await bulk;
  });

  it("keeps the order of a job's changes, however fast they come", async () => {
    const { jobs } = await registry();
    const stream = await follow();
    const { jobId } = await jobs.createJob({ job: everyHour });
    const generations: number[] = [];
    const done = stream.until((events) => {
      const generation = events.get(jobId)?.generation;
      if (generation !== undefined && generations.at(-1) !== generation) generations.push(generation);
      return generation === 41;
    });
    for (let i = 0; i < 20; i++) {
      await jobs.pauseJob({ jobId });
      await jobs.resumeJob({ jobId });
    }
    await done;
    expect(generations.toSorted((a, b) => a - b)).toEqual(generations);
  });

  it("carries a manual run with the whole call, once for a repeated request", async () => {
    const { jobs } = await registry();
    const stream = await follow();
    const { jobId } = await jobs.createJob({ job: { ...everyHour, http: { headers: { "X-A": "1" } } } });
    const first = await jobs.runJob({ jobId, requestId: "now" });
    expect(await jobs.runJob({ jobId, requestId: "now" })).toMatchObject({ executionId: first.executionId });
    const second = await jobs.runJob({ jobId });
    expect(second.executionId).not.toBe(first.executionId);

    const entries = await new Promise<ReturnType<typeof entryOf>[]>((resolve) => {
      const seen: ReturnType<typeof entryOf>[] = [];
      const loop = later(
        createConsumerLoop(
          stream.broker,
          { clock: systemClock, log: createLog("test", "silent") },
          {
            stream: streams.due,
            durable: consumers.due,
            room: () => ({ messages: 10, bytes: 16 * 1024 * 1024 }),
            onMessage(message) {
              seen.push(entryOf(message.data));
              message.ack();
              if (seen.length === 2) resolve(seen);
            },
          },
        ),
      );
      void loop.start();
    });
    expect(entries.map((entry) => entry.executionId).sort()).toEqual([first.executionId, second.executionId].sort());
    expect(entries[0]).toMatchObject({
      jobId,
      url: everyHour.apiEndpoint,
      headers: { "X-A": "1" },
      body: "{}",
      trigger: ExecutionTrigger.MANUAL,
    });
  });

  it("waits in the outbox while the broker is away, and creates go on", async () => {
    const { jobs, addresses } = await registry();
    const before = await jobs.createJob({ job: everyHour });
    const stream = await follow();
    await stream.until((events) => events.has(before.jobId));
    await nats.kill("SIGKILL");
    const during = await jobs.batchCreateJobs({ requests: Array.from({ length: 100 }, () => ({ job: everyHour })) });
    const pending = { code: "UNAVAILABLE", reason: "CHANGE_PENDING" };
    await expect(jobs.deleteJob({ jobId: before.jobId })).rejects.toMatchObject(pending);
    const metrics = await fetch(`http://127.0.0.1:${addresses.http.port}/metrics`).then((page) => page.text());
    expect(metrics).toMatch(/carillon_outbox_depth\{[^}]*\} 101/);
    await nats.restart();
    await stream.until((events) => during.jobs.every(({ jobId }) => events.has(jobId)));
    await stream.until((events) => events.get(before.jobId)?.deleted === true);
  });

  it("is told by the next registry when one is killed between the commit and the broker", async () => {
    await nats.kill("SIGKILL");
    const first = await spawnRegistry({ dataDir, natsUrl: nats.url });
    ending.push(() => first.kill("SIGKILL"));
    const { jobs } = await first.jobs.batchCreateJobs({
      requests: Array.from({ length: 50 }, () => ({ job: everyHour })),
    });
    const { executionId } = await first.jobs.runJob({ jobId: jobs[0]?.jobId ?? "" });
    await first.kill("SIGKILL");

    await nats.restart();
    const second = await spawnRegistry({ dataDir, natsUrl: nats.url });
    ending.push(() => second.kill("SIGTERM"));
    const stream = await follow();
    await stream.until((events) => jobs.every(({ jobId }) => events.has(jobId)));
    const due = await stream.broker.jsm.streams.getMessage(streams.due, { seq: 1 });
    expect(entryOf(due.data).executionId).toBe(executionId);
  });

  it("does not wait for manual runs that DUE has no room for, and those go out once it has", async () => {
    const small = await startRegistry({ dataDir, natsUrl: nats.url, brokerMaxBytes: 8 * 1024 ** 2 });
    const { jobs } = later(small);
    const stream = await follow();
    const { jobId } = await jobs.createJob({ job: everyHour });
    await stream.until((events) => events.has(jobId));
    for (const size of [50_000, 10]) {
      const fill = async () => {
        for (;;) await stream.broker.js.publish(subjects.due(1), new Uint8Array(size));
      };
      await expect(fill()).rejects.toMatchObject({ api_error: { err_code: 10_077 } });
    }
    const runs = await Promise.all(Array.from({ length: 700 }, () => jobs.runJob({ jobId })));
    const other = await jobs.createJob({ job: everyHour });
    await stream.until((events) => events.has(other.jobId));
    await stream.broker.jsm.streams.purge(streams.due);
    const executionIds = new Set<string>();
    await new Promise<void>((resolve) => {
      const loop = createConsumerLoop(
        stream.broker,
        { clock: systemClock, log: createLog("test", "silent") },
        {
          stream: streams.due,
          durable: consumers.due,
          room: () => ({ messages: 1_000, bytes: 16 * 1024 * 1024 }),
          onMessage(message) {
            executionIds.add(entryOf(message.data).executionId);
            message.ack();
            if (executionIds.size === runs.length) resolve();
          },
        },
      );
      ending.push(() => loop.stop());
      void loop.start();
    });
    expect([...executionIds].sort()).toEqual(runs.map(({ executionId }) => executionId).sort());
  });

  it("is known to be told after a restart, though manual runs wait for DUE", async () => {
    const first = await startRegistry({ dataDir, natsUrl: nats.url, brokerMaxBytes: 8 * 1024 ** 2 });
    const before = later(first).jobs;
    const stream = await follow();
    const { jobId } = await before.createJob({ job: everyHour });
    await stream.until((events) => events.has(jobId));
    for (const size of [50_000, 10]) {
      const fill = async () => {
        for (;;) await stream.broker.js.publish(subjects.due(1), new Uint8Array(size));
      };
      await expect(fill()).rejects.toMatchObject({ api_error: { err_code: 10_077 } });
    }
    await before.runJob({ jobId });
    await before.pauseJob({ jobId });
    await first.stop();
    const second = await startRegistry({ dataDir, natsUrl: nats.url, brokerMaxBytes: 8 * 1024 ** 2 });
    // It is paused already: only what the first one has left could be in the way.
    expect((await later(second).jobs.pauseJob({ jobId })).state).toBe(JobState.PAUSED);
  });

  it("goes out again when the stream is new, with a timing that is not new", async () => {
    const { jobs } = await registry();
    const old = await follow();
    const created = await createMany(jobs, 600);
    const paused = created[3] ?? "";
    await jobs.pauseJob({ jobId: paused });
    await jobs.deleteJob({ jobId: created[4] ?? "" });
    await old.until((events) => created.every((id) => events.has(id)) && events.get(paused)?.generation === 2);
    await old.until((events) => events.get(created[4] ?? "")?.deleted === true);
    // An event may be seen before the relay has written down its sequence. A later
    // change of the same job names the sequence once it is written down.
    const kept = created.filter((id) => id !== created[4]);
    let round = 0;
    const unsettled = () => kept.filter((id) => (old.events.get(id)?.timingSequence ?? 0n) === 0n);
    while (unsettled().length > 0) {
      round++;
      const changed = await Promise.all(
        unsettled().map((jobId) => jobs.updateJob({ job: { jobId, displayName: `round ${round}` } })),
      );
      await old.until((events) => changed.every((job) => (events.get(job.jobId)?.generation ?? 0) >= job.generation));
    }
    const { generation } = await jobs.getJob({ jobId: paused });
    await old.broker.jsm.streams.delete(streams.jobs);

    const stream = await follow();
    await stream.until((events) => kept.every((id) => events.has(id)));
    expect(stream.events.has(created[4] ?? "")).toBe(false);
    expect(kept.filter((id) => stream.events.get(id)?.timingSequence !== 1n)).toEqual([]);
    expect(stream.events.get(paused)).toMatchObject({ generation, timingGeneration: 2 });
  });

  it("goes out again when the stream was emptied", async () => {
    const { jobs } = await registry();
    const old = await follow();
    const created = await createMany(jobs, 20);
    await old.until((events) => created.every((id) => events.has(id)));
    await old.broker.jsm.streams.purge(streams.jobs);
    const stream = await follow();
    await stream.until((events) => created.every((id) => events.has(id)));
  });
});

function entryOf(data: Uint8Array) {
  const [entry] = fromBinary(DueBatchSchema, data).entries;
  return fromBinary(DueEntrySchema, entry ?? new Uint8Array());
}

async function createMany(jobs: Registry["jobs"], count: number): Promise<string[]> {
  const requests = Array.from({ length: count }, () => ({ job: everyHour }));
  return (await jobs.batchCreateJobs({ requests })).jobs.map((job) => job.jobId);
}
