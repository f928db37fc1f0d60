import { create } from "@bufbuild/protobuf";
import { EmptySchema } from "@bufbuild/protobuf/wkt";
import {
  BatchCreateJobsResponseSchema,
  BatchUpdateJobsResponseSchema,
  type JobService,
} from "../../../gen/carillon/v1/job_pb.ts";
import { createJobIds } from "../../domain/identity/job-id.ts";
import type { Clock, Random } from "../../platform/process/clock.ts";
import type { ServiceHandlers } from "../../platform/rpc/call-context.ts";
import { type RegistryStore, StoreFull } from "../store/contract.ts";
import type { AcceptedRun } from "./accepted-runs.ts";
import { createJobChanges } from "./job-changes.ts";
import { createJobCreation } from "./job-creation.ts";
import { readJobName } from "./job-names.ts";
import { createJobPurge } from "./job-purge.ts";
import { createJobReading } from "./job-reading.ts";
import { createJobUpdates } from "./job-updates.ts";
import { createManualRuns } from "./manual-runs.ts";
import { type AfterPublication, createChangeNamed } from "./named-changes.ts";
import { previewSchedule } from "./preview-schedule.ts";
import { rpcNotImplemented, storeFull } from "./refusals.ts";

/** The RPCs of JobService. Their requests have been checked by the rules of the proto. */
export function createJobService(deps: {
  store: RegistryStore;
  clock: Clock;
  random: Random;
  afterPublication: AfterPublication;
  /** Why nothing fires at this moment, in words; undefined when all is well. What is stored meanwhile waits, and is not lost. */
  whyNotFiring: () => string | undefined;
  onRunAccepted: (run: AcceptedRun) => void;
}): ServiceHandlers<typeof JobService> {
  const { store, clock, random, afterPublication, whyNotFiring } = deps;
  const nextJobId = createJobIds({ nowMs: clock.nowMs, random });
  const changeNamed = createChangeNamed({ store, clock, afterPublication });
  const creation = createJobCreation({ store, clock, nextJobId });
  const updates = createJobUpdates({ changeNamed, clock, nextJobId });
  const changes = createJobChanges({ changeNamed, clock });
  const purge = createJobPurge({ store, changeNamed, clock });
  const reading = createJobReading({ store, clock });
  const run = createManualRuns({ store, clock, random, onAccepted: deps.onRunAccepted });

  /** `isNew`: whether something was stored that would fire if all were well. */
  const warned = <T extends { warning?: string | undefined }>(answer: T, isNew: boolean): T => {
    const warning = isNew ? whyNotFiring() : undefined;
    return warning === undefined ? answer : { ...answer, warning };
  };

  return {
    createJob: async (request) => warned(await written(creation.one(request)), !request.validateOnly),
    async batchCreateJobs({ requests, validateOnly }) {
      const jobs = await written(creation.batch(requests, validateOnly));
      return warned(create(BatchCreateJobsResponseSchema, { jobs }), !validateOnly);
    },
    getJob: ({ jobId }) => reading.one(jobId),
    batchGetJobs: async ({ jobIds }) => ({ jobs: await reading.batch(jobIds) }),
    listJobs: reading.list,
    async updateJob(request) {
      const { jobs, created } = await written(updates.one(request));
      const [job] = jobs;
      if (!job) throw new Error("an update without its job");
      return warned(job, created > 0 && !request.validateOnly);
    },
    async batchUpdateJobs({ requests, validateOnly }) {
      const { jobs, created, changed } = await written(updates.batch(requests, validateOnly));
      const answer = { jobs, createdCount: created, changedCount: changed };
      return warned(create(BatchUpdateJobsResponseSchema, answer), created > 0 && !validateOnly);
    },
    async deleteJob({ jobId, etag, allowMissing }) {
      await written(changes.remove(readJobName(jobId), etag, allowMissing));
      return create(EmptySchema);
    },
    async batchDeleteJobs({ jobIds, allowMissing, validateOnly }) {
      const how = { allowMissing, validateOnly };
      return { deletedCount: await written(changes.removeAll(jobIds.map(readJobName), how)) };
    },
    purgeJobs: (request, { signal }) => written(purge(request, signal)),
    pauseJob: ({ jobId, etag }) => written(changes.pause(readJobName(jobId), etag)),
    resumeJob: ({ jobId, etag }) => written(changes.resume(readJobName(jobId), etag)),
    runJob: async (request) => warned(await written(run(request)), true),
    backfillJob() {
      throw rpcNotImplemented("BackfillJob");
    },
    previewSchedule: (request) => previewSchedule(request, clock),
  };
}

/** What a call came to that writes; that there is no room for it is no surprise. */
async function written<T>(call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (error) {
    if (error instanceof StoreFull) throw storeFull(error);
    throw error;
  }
}
