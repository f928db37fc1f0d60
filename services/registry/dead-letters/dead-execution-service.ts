import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import pLimit from "p-limit";
import {
  type DeadExecution,
  DeadExecutionSchema,
  type DeadExecutionService,
} from "../../../gen/carillon/v1/dead_execution_pb.ts";
import { isFullError } from "../../platform/jetstream/publish-answers.ts";
import type { ServiceHandlers } from "../../platform/rpc/call-context.ts";
import { invalidField, RpcError } from "../../platform/rpc/errors/rpc-error.ts";
import { pageSizeOf } from "../../platform/rpc/page-size.ts";
import { streams } from "../../wire/streams.ts";
import { findJobId, readJobName } from "../jobs/job-names.ts";
import { jobNotFound } from "../jobs/refusals.ts";
import type { RegistryStore } from "../store/contract.ts";
import type { Letter } from "./letter.ts";
import { decodeLetterPlace, encodeLetterPlace, type LetterPlace } from "./letter-place.ts";
import { type LetterFilters, letterQueryOf } from "./letter-query.ts";
import type { LetterPage, ReadLetters } from "./letter-reader.ts";
import type { Redrive } from "./redriver.ts";

// An item takes 2 KB at most: a thousand stay below what gRPC clients take unless told otherwise.
const defaultPageSize = 50;
const defaultMaxCount = 1_000;
const retryDelayMs = 1_000;
// Other retries have to be called first.
const fullRetryDelayMs = 10_000;
// One after the other: what one has taken the next one does not find any more.
const redrivesAtOnce = 1;

/** The RPCs of DeadExecutionService. Their requests have been checked by the rules of the proto. */
export function createDeadExecutionService(deps: {
  store: Pick<RegistryStore, "findJob" | "findKeys">;
  readLetters: ReadLetters;
  redrive: Redrive;
  /** Whether the broker can be asked at this moment. */
  linked: () => boolean;
}): ServiceHandlers<typeof DeadExecutionService> {
  const { store } = deps;
  const oneByOne = pLimit(redrivesAtOnce);

  const read = async (rpc: string, filters: LetterFilters & { pageToken: string }, limit: number) => {
    const query = letterQueryOf(filters);
    const place = decodeLetterPlace(rpc, filters, filters.pageToken);
    if (!place) {
      throw invalidField("page_token", "is not a next_page_token of this call and these filters", "PAGE_TOKEN_INVALID");
    }
    if (!deps.linked()) throw brokerUnavailable("the broker, which keeps the dead letters, cannot be reached");
    const page = await deps.readLetters(query, place, limit).catch((error: unknown) => {
      throw brokerUnavailable("the broker does not give the dead letters out", error);
    });
    await refuseUnknownJob(filters, page);
    return page;
  };

  /** Of a job that is gone there may be letters; with neither its id is a mistake. */
  const refuseUnknownJob = async ({ jobId, pageToken }: LetterFilters & { pageToken: string }, page: LetterPage) => {
    if (jobId === "" || pageToken !== "" || page.seen > 0) return;
    if (!(await store.findJob(jobId))) throw jobNotFound(jobId);
  };

  /** The request with the id of the job that it names, if it names one. */
  const withJobId = async <T extends { jobId: string }>(asked: T): Promise<T> => {
    const name = readJobName(asked.jobId);
    const jobId = await findJobId(store, name);
    if (jobId === undefined) throw jobNotFound(name);
    return { ...asked, jobId };
  };

  return {
    async listDeadExecutions(asked) {
      const rpc = "ListDeadExecutions";
      const request = await withJobId(asked);
      const { letters, next } = await read(rpc, request, pageSizeOf(request.pageSize, defaultPageSize));
      return { deadExecutions: letters.map(deadExecutionOf), nextPageToken: tokenOf(rpc, request, next) };
    },
    async redriveExecutions(asked, { signal }) {
      const rpc = "RedriveExecutions";
      const request = await withJobId(asked);
      return oneByOne(async () => {
        // Whoever went away while it waited would not hear what became of them.
        if (signal.aborted) throw signal.reason;
        const { letters, next } = await read(rpc, request, request.maxCount || defaultMaxCount);
        const { redriven, skippedPaused, skippedDeleted } = await deps.redrive(letters).catch((error: unknown) => {
          if (isFullError(error)) throw retriesFull(error);
          throw brokerUnavailable("the broker does not take what is to be called again; repeat the call", error);
        });
        return {
          redrivenCount: redriven,
          skippedPausedCount: skippedPaused,
          skippedDeletedCount: skippedDeleted,
          nextPageToken: tokenOf(rpc, request, next),
        };
      });
    },
  };
}

function tokenOf(rpc: string, filters: LetterFilters, next: LetterPlace | undefined): string {
  return next ? encodeLetterPlace(rpc, filters, next) : "";
}

function deadExecutionOf({ executionId, diedAtMs, result }: Letter): DeadExecution {
  const { jobId, second, sentAtMs, httpStatus, reason, message, attempt } = result;
  return create(DeadExecutionSchema, {
    executionId,
    jobId,
    timestamp: timestampFromMs(sentAtMs),
    reason,
    ...(httpStatus > 0 && { httpStatus }),
    attemptCount: attempt,
    message,
    scheduledTime: timestampFromMs(second * 1000),
    deathTime: timestampFromMs(diedAtMs),
  });
}

function brokerUnavailable(why: string, cause?: unknown): RpcError {
  return new RpcError("UNAVAILABLE", why, {
    reason: "BROKER_UNAVAILABLE",
    retryDelayMs,
    cause,
  });
}

function retriesFull(cause: unknown): RpcError {
  const full = streams.retry;
  const why =
    `${full}, in which what is called again waits, has no room for all of these beside the retries that wait already: ` +
    "what it has taken is called, the others are dead as before";
  return new RpcError("RESOURCE_EXHAUSTED", why, {
    reason: "STORAGE_FULL",
    metadata: { full },
    retryDelayMs: fullRetryDelayMs,
    cause,
  });
}
