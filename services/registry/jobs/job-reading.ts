import type { Job, ListJobsRequest } from "../../../gen/carillon/v1/job_pb.ts";
import type { Clock } from "../../platform/process/clock.ts";
import { invalidField } from "../../platform/rpc/errors/rpc-error.ts";
import { pageSizeOf } from "../../platform/rpc/page-size.ts";
import type { RegistryStore } from "../store/contract.ts";
import { readJobName } from "./job-names.ts";
import { parseLabelFilter } from "./label-filter.ts";
import { decodePageToken, encodePageToken } from "./page-token.ts";
import { answerBytes, jobNotFound, tooMuchAtOnce } from "./refusals.ts";
import { decodeRow, viewOf } from "./stored-job.ts";

const defaultPageSize = 50;

export interface JobReading {
  one(jobId: string): Promise<Job>;
  /** In the order asked; all of them, or a refusal. */
  batch(jobIds: readonly string[]): Promise<Job[]>;
  list(request: ListJobsRequest): Promise<{ jobs: Job[]; nextPageToken: string }>;
}

export function createJobReading({
  store,
  clock,
}: {
  store: Pick<RegistryStore, "findJob" | "listJobs">;
  clock: Clock;
}): JobReading {
  return {
    async one(jobId) {
      const name = readJobName(jobId);
      const row = await store.findJob(name);
      if (!row) throw jobNotFound(name);
      return viewOf(decodeRow(row), clock.nowMs());
    },
    async batch(jobIds) {
      const jobs: Job[] = [];
      let bytes = 0;
      // One by one: a thousand large ones are not all to be in memory before they are refused.
      for (const [index, jobId] of jobIds.entries()) {
        const name = readJobName(jobId);
        const row = await store.findJob(name);
        if (!row) throw jobNotFound(name, `job_ids[${index}]`);
        bytes += row.job.length;
        const tooMuch = index > 0 ? tooMuchAtOnce(bytes, "job_ids") : undefined;
        if (tooMuch) throw tooMuch;
        jobs.push(viewOf(decodeRow(row), clock.nowMs()));
      }
      return jobs;
    },
    async list({ pageSize, pageToken, filter }) {
      const labels = parseLabelFilter(filter);
      const afterId = decodePageToken(pageToken, filter);
      if (afterId === undefined) throw invalidField("page_token", "is not a token of this list", "PAGE_TOKEN_INVALID");
      const page = { afterId, limit: pageSizeOf(pageSize, defaultPageSize), maxBytes: answerBytes, labels };
      const { rows, goesOn, lastId } = await store.listJobs(page);
      const nowMs = clock.nowMs();
      return {
        jobs: rows.map((row) => viewOf(decodeRow(row), nowMs)),
        nextPageToken: goesOn ? encodePageToken(lastId, filter) : "",
      };
    },
  };
}
