import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  CreateJobRequestSchema,
  JobState,
  RunJobRequestSchema,
  UpdateJobRequestSchema,
} from "../../../gen/carillon/v1/job_pb.ts";
import { systemClock, systemRandom } from "../../../services/platform/process/clock.ts";
import { createJobChanges } from "../../../services/registry/jobs/job-changes.ts";
import { createJobCreation } from "../../../services/registry/jobs/job-creation.ts";
import { createJobUpdates } from "../../../services/registry/jobs/job-updates.ts";
import { createManualRuns } from "../../../services/registry/jobs/manual-runs.ts";
import { createChangeNamed } from "../../../services/registry/jobs/named-changes.ts";
import type { RegistryStore } from "../../../services/registry/store/contract.ts";
import { createSqliteRegistryStore } from "../../../services/registry/store/sqlite/sqlite-registry-store.ts";
import { everyHour, removeDir, tempDir } from "../../support/registry.ts";
import { idOf, takeAll } from "../../support/registry-store-rows.ts";
import { watchedStore } from "../../support/watched-store.ts";

describe.each([{ decidesTwice: false }, { decidesTwice: true }])("over a store that decides (%o)", (watch) => {
  let dataDir: string;
  let store: RegistryStore;
  let parts: ReturnType<typeof partsOver>;
  const partsOver = (over: RegistryStore) => {
    const deps = { store: over, clock: systemClock, random: systemRandom };
    const changeNamed = createChangeNamed({
      ...deps,
      afterPublication: async (_, call) => ({ answer: await call(), unheard: [] }),
    });
    let made = 1;
    return {
      creation: createJobCreation({ ...deps, nextJobId: () => idOf(1) }),
      updates: createJobUpdates({ ...deps, changeNamed, nextJobId: () => idOf(++made) }),
      changes: createJobChanges({ ...deps, changeNamed }),
      run: createManualRuns({ ...deps, onAccepted: () => undefined }),
    };
  };
  beforeEach(async () => {
    dataDir = await tempDir();
    store = createSqliteRegistryStore({ dataDir });
    await store.start();
    parts = partsOver(watchedStore(store, watch));
    await parts.creation.one(create(CreateJobRequestSchema, { job: everyHour }));
    await takeAll(store);
  });
  afterEach(async () => {
    await store.stop();
    await removeDir(dataDir);
  });
  const jobId = idOf(1);
  type JobInit = NonNullable<MessageInitShape<typeof UpdateJobRequestSchema>["job"]>;
  const update = async (job: JobInit) => {
    const { jobs } = await parts.updates.one(create(UpdateJobRequestSchema, { job }));
    return jobs[0];
  };

  it("a change is made once, and refused or left alone as it is", async () => {
    const named = await update({ jobId, displayName: "new", labels: { a: "1" } });
    expect(named).toMatchObject({ displayName: "new", generation: 2 });
    expect(await update({ jobId, displayName: "new" })).toEqual(named);
    await expect(update({ jobId, etag: "stale", displayName: "x" })).rejects.toMatchObject({ reason: "ETAG_MISMATCH" });
    expect(await parts.changes.pause(jobId, "")).toMatchObject({ state: JobState.PAUSED, generation: 3 });
    expect(await parts.changes.resume(jobId, "")).toMatchObject({ state: JobState.ACTIVE, generation: 4 });
    await parts.changes.remove(jobId, "", false);
    await expect(parts.changes.pause(jobId, "")).rejects.toMatchObject({ reason: "JOB_NOT_FOUND" });
    expect(await store.findStates([jobId])).toMatchObject([{ generation: 5, timingGeneration: 5 }]);
    expect(await takeAll(store)).toHaveLength(4);
  });

  it("what is missing is created once, under one id, and is left alone when it comes again", async () => {
    const upsert = (job: JobInit) => parts.updates.one(create(UpdateJobRequestSchema, { job, allowMissing: true }));
    const first = await upsert({ ...everyHour, key: "a/b" });
    expect(first).toMatchObject({ jobs: [{ jobId: idOf(2), key: "a/b", generation: 1 }], created: 1, changed: 0 });
    const [stored] = await store.findStates([idOf(2)]);
    expect(await upsert({ ...everyHour, key: "a/b" })).toEqual({ ...first, created: 0 });
    expect(await store.findStates([idOf(2)])).toEqual([stored]);
    expect(await takeAll(store)).toHaveLength(1);
  });

  it("a manual run is made once, and is the one that was answered", async () => {
    const { executionId } = await parts.run(create(RunJobRequestSchema, { jobId, requestId: "once" }));
    expect(await parts.run(create(RunJobRequestSchema, { jobId, requestId: "once" }))).toMatchObject({ executionId });
    expect((await takeAll(store)).map(({ run }) => run?.executionId)).toEqual([executionId]);
  });
});
