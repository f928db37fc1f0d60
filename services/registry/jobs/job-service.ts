import { create } from "@bufbuild/protobuf";
import { EmptySchema } from "@bufbuild/protobuf/wkt";
import {
  BatchCreateJobsResponseSchema,
  type JobService,
  type ListJobsRequest,
  ListJobsResponseSchema,
} from "../../../gen/carillon/v1/job_pb.ts";
import { createJobIds } from "../../domain/identity/job-id.ts";
import type { Clock, Random } from "../../platform/process/clock.ts";
import type { ServiceHandlers } from "../../platform/rpc/call-context.ts";
import { invalidField } from "../../platform/rpc/errors/rpc-error.ts";
import { pageSizeOf } from "../../platform/rpc/page-size.ts";
import { type RegistryStore, StoreFull } from "../store/contract.ts";
import type { AcceptedRun } from "./accepted-runs.ts";
import { type AfterPublication, createJobChanges } from "./job-changes.ts";
import { answerBytes, createJobCreation } from "./job-creation.ts";
import { createManualRuns } from "./manual-runs.ts";
import { decodePageToken, encodePageToken } from "./page-token.ts";
import { previewSchedule } from "./preview-schedule.ts";
import { jobNotFound, rpcNotImplemented, storeFull } from "./refusals.ts";
import { decodeRow, viewOf } from "./stored-job.ts";

const defaultPageSize = 50;

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
  const creation = createJobCreation({ store, clock, nextJobId });
  const changes = createJobChanges({ store, clock, afterPublication });
  const run = createManualRuns({ store, clock, random, onAccepted: deps.onRunAccepted });

  const list = async ({ pageSize, pageToken }: ListJobsRequest) => {
    const afterId = decodePageToken(pageToken);
    if (afterId === undefined) throw invalidField("page_token", "is not a token of this list", "PAGE_TOKEN_INVALID");
    const { rows, goesOn } = await store.listJobs({
      afterId,
      limit: pageSizeOf(pageSize, defaultPageSize),
      maxBytes: answerBytes,
    });
    const nowMs = clock.nowMs();
    return create(ListJobsResponseSchema, {
      jobs: rows.map((row) => viewOf(decodeRow(row), nowMs)),
      nextPageToken: goesOn ? encodePageToken(rows.at(-1)?.jobId ?? "") : "",
    });
  };

  const warned = <T extends { warning?: string | undefined }>(answer: T): T => {
    const warning = whyNotFiring();
    return warning === undefined ? answer : { ...answer, warning };
  };

  return {
    createJob: async (request) => warned(await written(creation.one(request))),
    async batchCreateJobs({ requests }) {
      return warned(create(BatchCreateJobsResponseSchema, { jobs: await written(creation.batch(requests)) }));
    },
    async getJob({ jobId }) {
      const row = await store.findJob(jobId);
      if (!row) throw jobNotFound(jobId);
      return viewOf(decodeRow(row), clock.nowMs());
    },
    listJobs: list,
    updateJob: (request) => written(changes.update(request)),
    async deleteJob({ jobId, etag }) {
      await written(changes.remove(jobId, etag));
      return create(EmptySchema);
    },
    pauseJob: ({ jobId, etag }) => written(changes.pause(jobId, etag)),
    resumeJob: ({ jobId, etag }) => written(changes.resume(jobId, etag)),
    runJob: async (request) => warned(await written(run(request))),
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
