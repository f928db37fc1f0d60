import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { afterEach, beforeEach, expect, it } from "vitest";
import { PurgeJobsRequestSchema, UpdateJobRequestSchema } from "../../../gen/carillon/v1/job_pb.ts";
import { systemClock } from "../../../services/platform/process/clock.ts";
import { createJobChanges } from "../../../services/registry/jobs/job-changes.ts";
import { createJobPurge } from "../../../services/registry/jobs/job-purge.ts";
import { createJobUpdates } from "../../../services/registry/jobs/job-updates.ts";
import { createChangeNamed } from "../../../services/registry/jobs/named-changes.ts";
import type { RegistryStore } from "../../../services/registry/store/contract.ts";
import { createSqliteRegistryStore } from "../../../services/registry/store/sqlite/sqlite-registry-store.ts";
import { everyHour, removeDir, tempDir } from "../../support/registry.ts";
import { idOf } from "../../support/registry-store-rows.ts";
import { watchedStore } from "../../support/watched-store.ts";

let dataDir: string;
let store: RegistryStore;
/** Runs once, before the next transaction. */
let meanwhile: (() => Promise<unknown>) | undefined;
/** The jobs whose publication was followed, call by call, and the generations that were waited for. */
let waits: { followed: readonly string[]; made: Record<string, number> }[];
let made: number;

const partsOver = (over: RegistryStore) => {
  const changeNamed = createChangeNamed({
    store: over,
    clock: systemClock,
    async afterPublication(jobIds, call) {
      const answer = await call();
      waits.push({ followed: jobIds, made: Object.fromEntries(answer.made) });
      return { answer, unheard: [] };
    },
  });
  const deps = { store: over, changeNamed, clock: systemClock, nextJobId: () => idOf(++made) };
  return { updates: createJobUpdates(deps), changes: createJobChanges(deps), purge: createJobPurge(deps) };
};
let parts: ReturnType<typeof partsOver>;
let beside: ReturnType<typeof partsOver>;

beforeEach(async () => {
  dataDir = await tempDir();
  store = createSqliteRegistryStore({ dataDir });
  await store.start();
  [made, meanwhile] = [0, undefined];
  beside = partsOver(store);
  const before = async (method: string) => {
    const once = meanwhile;
    if (method !== "changeJobs" || !once) return;
    meanwhile = undefined;
    await once();
    waits = [];
  };
  parts = partsOver(watchedStore(store, { before }));
  waits = [];
});
afterEach(async () => {
  await store.stop();
  await removeDir(dataDir);
});

type JobInit = NonNullable<MessageInitShape<typeof UpdateJobRequestSchema>["job"]>;
const upsertIn = async (over: typeof parts, ...jobs: JobInit[]) => {
  const requests = jobs.map((job) =>
    create(UpdateJobRequestSchema, { job: { ...everyHour, ...job }, allowMissing: true }),
  );
  const answer = await over.updates.batch(requests, false);
  return answer.jobs.map(({ jobId }) => jobId);
};
const upsert = (...jobs: JobInit[]) => upsertIn(parts, ...jobs);

it("a batch waits for what it has changed, and follows what it has left alone, and not what it has created", async () => {
  const [a = "", b = ""] = await upsert({ key: "a" }, { key: "b" });
  waits = [];
  await upsert({ key: "c" }, { key: "a", displayName: "n" }, { key: "b" });
  expect(waits).toEqual([{ followed: [a, b], made: { [a]: 2 } }]);
  await parts.changes.removeAll([a, { key: "b" }, { key: "nobody" }], { allowMissing: true, validateOnly: false });
  expect(waits[1]).toEqual({ followed: [a, b], made: { [a]: 3, [b]: 2 } });
  await parts.changes.removeAll([{ key: "c" }], { allowMissing: true, validateOnly: true });
  expect(waits).toHaveLength(2);
});

it("a key that goes to another job between its look-up and the change names the other one, whose publication is waited for", async () => {
  const [a = "", b = ""] = await upsert({ key: "a" }, { key: "b" });
  meanwhile = async () => {
    const requests = [
      { jobId: a, key: "free" },
      { jobId: b, key: "a" },
    ].map((job) => create(UpdateJobRequestSchema, { job }));
    await beside.updates.batch(requests, false);
  };
  const paused = await parts.changes.pause({ key: "a" }, "");
  expect(paused).toMatchObject({ jobId: b, generation: 3 });
  expect(waits.at(-1)).toEqual({ followed: [b], made: { [b]: 3 } });
  expect(await store.findJob(a)).toMatchObject({ generation: 2, pausedGeneration: 0 });
});

it("a job that comes up between an upsert's look-up and its transaction is changed, and waited for", async () => {
  let other: string | undefined;
  meanwhile = async () => {
    [other = ""] = await upsertIn(beside, { key: "a" });
  };
  const [jobId = ""] = await upsert({ key: "a", displayName: "n" });
  expect(jobId).toBe(other);
  expect(waits.at(-1)).toEqual({ followed: [jobId], made: { [jobId]: 2 } });
});

it("a job whose labels are changed between the look and the deletion is not purged", async () => {
  const [a = "", b = ""] = await upsert({ key: "a", labels: { env: "old" } }, { key: "b", labels: { env: "old" } });
  meanwhile = () => upsertIn(beside, { key: "a", labels: { env: "new" } });
  const request = create(PurgeJobsRequestSchema, { filter: "labels.env = old", force: true });
  const answer = await parts.purge(request, new AbortController().signal);
  expect(answer).toEqual({ purgeCount: 1, purgeSample: [b], nextPageToken: "" });
  expect(await store.findJob(a)).toMatchObject({ generation: 2 });
  expect(await store.findJob(b)).toBeUndefined();
});

it("a purge whose caller is gone deletes no more", async () => {
  await upsert(...Array.from({ length: 300 }, (_, number) => ({ key: `${number}`, labels: { env: "old" } })));
  const caller = new AbortController();
  meanwhile = async () => caller.abort(new Error("gone"));
  const request = create(PurgeJobsRequestSchema, { filter: "labels.env = old", force: true });
  await expect(parts.purge(request, caller.signal)).rejects.toThrow("gone");
  expect(await store.counts()).toMatchObject({ active: 100 });
});
