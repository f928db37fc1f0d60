import { join } from "node:path";
import { create, toBinary } from "@bufbuild/protobuf";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { ExecutionService } from "../../../gen/carillon/v1/execution_pb.ts";
import { JobSchema } from "../../../gen/carillon/v1/job_pb.ts";
import { partitionOf } from "../../../services/domain/identity/partition.ts";
import { createDeletionFollower } from "../../../services/history/retention/deletion-follower.ts";
import type { HistoryStore, JobState, JobsPlace } from "../../../services/history/store/contract.ts";
import { createSqliteHistoryStore } from "../../../services/history/store/sqlite/sqlite-history-store.ts";
import { systemClock } from "../../../services/platform/process/clock.ts";
import type { Startable } from "../../../services/platform/process/lifecycle.ts";
import { createLog } from "../../../services/platform/process/log.ts";
import { createGrpcClient } from "../../../services/platform/rpc/grpc/grpc-client.ts";
import { writeJobEvent } from "../../../services/wire/job-event.ts";
import { streams } from "../../../services/wire/streams.ts";
import { subjects } from "../../../services/wire/subjects.ts";
import { startHistoryProcess } from "../../support/history-process.ts";
import { noon, resultOf } from "../../support/history-results.ts";
import { type HistoryRig, startHistoryRig, wireResult } from "../../support/history-rig.ts";
import { jobNamed, jobsNamed } from "../../support/job-ids.ts";

const deps = { clock: systemClock, log: createLog("test", "silent") };
const patience = { timeout: 30_000, interval: 20 };

let rig: HistoryRig;
beforeAll(async () => {
  rig = await startHistoryRig();
});
afterAll(() => rig.stop());

const tell = (jobId: string, state: "deleted" | "stands", generation = 2) =>
  rig.publisher.publish(
    subjects.job(partitionOf(jobId), jobId),
    writeJobEvent({
      jobId,
      generation,
      deleted: state === "deleted",
      job: state === "deleted" ? undefined : toBinary(JobSchema, create(JobSchema, { jobId })),
      timingGeneration: 1,
      effectiveFromMs: noon * 1000,
      timingSequence: 0,
      earlier: [],
      pausedGeneration: 0,
      ended: false,
    }),
  );

describe("deletions", () => {
  let folder = 0;
  let store: HistoryStore;
  let follower: Startable;
  /** What the store was told, a call each, and what fails of it. */
  let calls: { jobs: readonly JobState[]; place: JobsPlace }[];
  let failures: number;

  beforeEach(async () => {
    store = createSqliteHistoryStore({ folder: join(rig.dataDir, `deletions-${folder++}`) });
    await store.start();
    calls = [];
    failures = 0;
    await rig.broker.jsm.streams.purge(streams.jobs);
  });
  afterEach(async () => {
    await follower.stop();
    await store.stop();
  });
  const follow = async () => {
    follower = createDeletionFollower({
      ...deps,
      broker: rig.broker,
      makeRoom: async () => undefined,
      store: {
        jobsPlace: () => store.jobsPlace(),
        async noteJobs(jobs, place) {
          if (failures-- > 0) throw new Error("the disk is full");
          await store.noteJobs(jobs, place);
          calls.push({ jobs, place });
        },
      },
    });
    await follower.start();
  };
  const told = () => calls.flatMap(({ jobs }) => jobs);
  const deleted = () => told().flatMap((one) => (one.deleted ? [one.jobId] : []));
  const read = (last: { jobId: string }) =>
    vi.waitFor(() => expect(told().at(-1)).toMatchObject({ jobId: last.jobId }), patience);
  const restart = async () => {
    await follower.stop();
    calls = [];
    await follow();
  };

  it("are told with what there is at the start, and from then on", async () => {
    const [a = "", b = "", c = "", d = ""] = jobsNamed("t", 4);
    await tell(a, "stands", 1);
    await tell(b, "deleted");
    await follow();
    await read({ jobId: b });
    await tell(a, "deleted");
    await tell(c, "stands", 1);
    await tell(b, "stands", 3);
    await tell(d, "deleted");
    await read({ jobId: d });
    const last = new Map(told().map((one) => [one.jobId, one.deleted]));
    expect([a, b, c, d].map((jobId) => last.get(jobId))).toEqual([true, false, false, true]);
    const now = Date.now() / 1000;
    for (const { second } of told()) expect(Math.abs(second - now)).toBeLessThan(60);
  });

  it("that came while nobody followed are told at the next start, and nothing twice", async () => {
    const [a = "", b = "", c = ""] = jobsNamed("w", 3);
    await tell(a, "deleted");
    await follow();
    await read({ jobId: a });
    await follower.stop();
    await tell(b, "deleted");
    await restart();
    await read({ jobId: b });
    expect(told()).toHaveLength(1);
    await restart();
    await tell(c, "deleted");
    await read({ jobId: c });
    expect(deleted()).toEqual([c]);
  });

  it("in a stream that replaces the one of the place are told from its beginning", async () => {
    const [a = "", b = "", c = "", d = ""] = jobsNamed("s", 4);
    for (const jobId of [a, b, c]) await tell(jobId, "deleted");
    await follow();
    await read({ jobId: c });
    await follower.stop();
    await rig.broker.jsm.streams.delete(streams.jobs);
    await rig.broker.ensure();
    await tell(d, "deleted");
    await restart();
    await read({ jobId: d });
    expect(deleted()).toEqual([d]);
    const { created } = await rig.broker.jsm.streams.info(streams.jobs);
    expect(await store.jobsPlace()).toEqual({ stream: created, sequence: 1 });
    // And while it is followed.
    await rig.broker.jsm.streams.delete(streams.jobs);
    await rig.broker.ensure();
    await tell(a, "deleted");
    await read({ jobId: a });
  });

  it("come in few calls when they are many", async () => {
    const many = jobsNamed("m", 5_000);
    await Promise.all(many.map((jobId) => tell(jobId, "deleted")));
    await store.record(many.slice(0, 100).map((jobId) => resultOf({ jobId })));
    await follow();
    await vi.waitFor(() => expect(told()).toHaveLength(many.length), patience);
    expect(calls.length).toBeLessThan(50);
    expect(Math.max(...calls.map(({ jobs }) => jobs.length))).toBeLessThanOrEqual(1_000);
    expect(new Set(deleted())).toEqual(new Set(many));
    const { state } = await rig.broker.jsm.streams.info(streams.jobs);
    expect((await store.jobsPlace())?.sequence).toBe(state.last_seq);
  });

  it("that could not be written are told again", async () => {
    const [a = "", b = "", c = ""] = jobsNamed("f", 3);
    await tell(a, "deleted");
    await follow();
    await read({ jobId: a });
    failures = 2;
    await tell(b, "deleted");
    await tell(c, "deleted");
    await vi.waitFor(() => expect(new Set(deleted())).toEqual(new Set([a, b, c])), patience);
    await vi.waitFor(async () => expect((await store.jobsPlace())?.sequence).toBe(calls.at(-1)?.place.sequence));
  });

  it("are told also behind an event that cannot be read", async () => {
    const [a = "", b = ""] = jobsNamed("b", 2);
    await rig.publisher.publish(subjects.job(1, "no-uuid"), new TextEncoder().encode("x"));
    await rig.publisher.publish(subjects.job(1, a), new Uint8Array([0x18]));
    await tell(b, "deleted");
    await follow();
    await read({ jobId: b });
    expect(told().map(({ jobId }) => jobId)).toEqual([b]);
  });
});

it("history forgets all of a deleted job by its age, what was told while it was dead too, and of others all but the last 5", async () => {
  await rig.broker.jsm.streams.purge(streams.jobs);
  const place = {
    natsUrl: rig.nats.url,
    dataDir: join(rig.dataDir, "process"),
    // What is recorded here is long past.
    env: { CARILLON_HISTORY_RETENTION: "1m" },
  };
  const [a, b, c] = [jobNamed("gone"), jobNamed("later"), jobNamed("stays")];
  let history = await startHistoryProcess(place);
  const list = async (jobId: string) => {
    const client = createGrpcClient(ExecutionService, { address: history.grpcAddress }, deps);
    const { executions } = await client.listExecutions({ jobId, pageSize: 100 });
    client.close();
    return executions.map(({ scheduledTime }) => Number(scheduledTime?.seconds) - noon);
  };
  try {
    for (let i = 0; i < 8; i++) await rig.publish(...[a, b, c].map((jobId) => wireResult(jobId, noon + i)));
    await rig.allRecorded();
    await vi.waitFor(async () => expect(await list(a)).toEqual([7, 6, 5, 4, 3]), patience);
    await tell(a, "deleted");
    await vi.waitFor(async () => expect(await list(a)).toEqual([]), patience);
    await history.kill("SIGKILL");
    await tell(b, "deleted");
    history = await startHistoryProcess(place);
    await vi.waitFor(async () => expect(await list(b)).toEqual([]), patience);
    expect(await list(c)).toEqual([7, 6, 5, 4, 3]);
  } finally {
    await history.kill("SIGKILL");
  }
}, 60_000);
