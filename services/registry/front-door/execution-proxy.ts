import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  type Execution,
  ExecutionSchema,
  type ExecutionService,
  ExecutionStatus,
  ExecutionTrigger,
  type ListExecutionsRequest,
  type ListExecutionsResponse,
  type WatchExecutionsRequest,
} from "../../../gen/carillon/v1/execution_pb.ts";
import { type Clock, secondOf, sleep } from "../../platform/process/clock.ts";
import type { CallContext, ServiceHandlers } from "../../platform/rpc/call-context.ts";
import { RpcError } from "../../platform/rpc/errors/rpc-error.ts";
import type { GrpcClient } from "../../platform/rpc/grpc/grpc-client.ts";
import { type AcceptedRun, type AcceptedRuns, waitsForExecutor } from "../jobs/accepted-runs.ts";
import { readJobName } from "../jobs/job-names.ts";
import { jobNotFound, rpcNotImplemented } from "../jobs/refusals.ts";
import type { RegistryStore } from "../store/contract.ts";

// History answers within milliseconds; who waits this long should be told.
const historyTimeoutMs = 3_000;
const retryDelayMs = 1_000;
// A watch waits for so long until history is back: a browser does not ask again once it is told that it is away.
const patienceMs = 30_000;

// Each watcher looks for its job once a second: one read by the primary key. After
// the look that misses the job it looks twice more, since executions that were due
// before the deletion still end: the lead and some batches later.
const lookMs = 1_000;
const looksAfterwards = 2;

const looksForRuns = 20;
const lookForRunsMs = 25;

/** ExecutionService at the front door: history is asked, about jobs that exist. */
export function createExecutionProxy(deps: {
  store: Pick<RegistryStore, "findJob">;
  clock: Clock;
  history: Pick<GrpcClient<typeof ExecutionService>, "listExecutions" | "getExecution" | "watchExecutions">;
  runs: Pick<AcceptedRuns, "find" | "latestOf" | "forget">;
}): ServiceHandlers<typeof ExecutionService> {
  const { store, clock, history, runs } = deps;
  /** The request with the id of the job that it names, which is there. History knows no keys. */
  const withJob = async <T extends { jobId: string }>(request: T): Promise<T> => {
    const name = readJobName(request.jobId);
    const row = await store.findJob(name);
    if (!row) throw jobNotFound(name);
    return { ...request, jobId: row.jobId };
  };
  /** Aborts once the job has been gone for a while; the returned function ends the looking. */
  const whenGone = (jobId: string, { signal }: CallContext, gone: AbortController) => {
    const ended = new AbortController();
    // The store is closed some time after the watchers were told to stop.
    const either = AbortSignal.any([signal, ended.signal]);
    const look = async () => {
      for (let missing = 0; missing <= looksAfterwards; ) {
        await sleep(clock, lookMs, either);
        if (either.aborted) return;
        // A read that fails says nothing of the job.
        const there = await store.findJob(jobId).then(Boolean, () => true);
        missing = there ? 0 : missing + 1;
      }
      gone.abort();
    };
    void look();
    return () => ended.abort();
  };
  /** Asks history within what the caller leaves it. */
  const ask = async <T>(
    context: CallContext,
    call: (options: { timeoutMs: number; signal: AbortSignal }) => Promise<T>,
  ) => {
    const remainingMs = context.remainingMs() ?? Number.POSITIVE_INFINITY;
    try {
      return await call({ timeoutMs: Math.min(historyTimeoutMs, remainingMs), signal: context.signal });
    } catch (error) {
      const isCallers =
        remainingMs <= historyTimeoutMs && error instanceof RpcError && error.code === "DEADLINE_EXCEEDED";
      if (!isCallers) rethrow(error, context);
      throw new RpcError("DEADLINE_EXCEEDED", "the deadline passed", { reason: "DEADLINE_EXCEEDED" });
    }
  };
  const list = (request: ListExecutionsRequest, context: CallContext) =>
    ask(context, (options) => history.listExecutions(request, options));
  /** Watches at history; a restart of it goes unnoticed once there is a place to go on from. */
  async function* follow(request: WatchExecutionsRequest, context: CallContext, signal: AbortSignal) {
    let { resumeToken } = request;
    let awaySinceMs: number | undefined;
    // The stream is open once history says so, not when it was asked for.
    const onHeader = () => {
      awaySinceMs = undefined;
      context.open();
    };
    for (;;) {
      try {
        for await (const execution of history.watchExecutions({ ...request, resumeToken }, { signal, onHeader })) {
          yield execution;
          resumeToken = execution.resumeToken ?? resumeToken;
        }
        return;
      } catch (error) {
        if (!isAway(error) || resumeToken === "" || signal.aborted) throw error;
        awaySinceMs ??= clock.monotonicMs();
        if (clock.monotonicMs() - awaySinceMs > patienceMs) throw error;
        await sleep(clock, retryDelayMs, signal);
      }
    }
  }
  return {
    async listExecutions(asked, context) {
      const request = await withJob(asked);
      let answer = await list(request, context);
      if (!request.includeRunning || request.pageToken !== "") return answer;
      // Who has run a job sees the run: history hears of it within some milliseconds.
      for (let looks = 0; looks < looksForRuns && lacks(answer, runs.latestOf(request.jobId)); looks++) {
        await sleep(clock, lookForRunsMs, context.signal);
        answer = await list(request, context);
      }
      return answer;
    },
    async getExecution(request, context) {
      const { executionId } = request;
      try {
        const execution = await ask(context, (options) => history.getExecution(request, options));
        runs.forget(executionId);
        return execution;
      } catch (error) {
        const run = runs.find(executionId);
        if (run && error instanceof RpcError && error.code === "NOT_FOUND") return waitingRun(run);
        throw error;
      }
    },
    async *watchExecutions(asked, context) {
      const request = await withJob(asked);
      // Nothing more can come of a job that is gone: its watchers hear the end, as of any list.
      const gone = new AbortController();
      const stopLooking = whenGone(request.jobId, context, gone);
      try {
        yield* follow(request, context, AbortSignal.any([context.signal, gone.signal]));
      } catch (error) {
        if (!gone.signal.aborted || context.signal.aborted) rethrow(error, context);
      } finally {
        stopLooking();
      }
    },
    auditJob() {
      throw rpcNotImplemented("AuditJob");
    },
  };
}

/** Whether a run is missing that would stand in this first page. */
function lacks({ executions, nextPageToken }: ListExecutionsResponse, latest: readonly AcceptedRun[]): boolean {
  const ids = new Set(executions.map(({ executionId }) => executionId));
  const last = nextPageToken === "" ? 0n : (executions.at(-1)?.scheduledTime?.seconds ?? 0n);
  return latest.some(({ executionId, acceptedMs }) => !ids.has(executionId) && secondOf(acceptedMs) > last);
}

function waitingRun({ jobId, executionId, acceptedMs }: AcceptedRun): Execution {
  return create(ExecutionSchema, {
    executionId,
    jobId,
    timestamp: timestampFromMs(acceptedMs),
    status: ExecutionStatus.RUNNING,
    scheduledTime: timestampFromMs(secondOf(acceptedMs) * 1000),
    message: waitsForExecutor,
    trigger: ExecutionTrigger.MANUAL,
  });
}

function isAway(error: unknown): boolean {
  return error instanceof RpcError && (error.code === "UNAVAILABLE" || error.code === "DEADLINE_EXCEEDED");
}

/** History's own refusals pass as they are; that it cannot be reached is ours to explain. */
function rethrow(error: unknown, context: CallContext): never {
  if (!isAway(error) || context.signal.aborted) throw error;
  throw new RpcError("UNAVAILABLE", "the history service cannot be reached; jobs fire all the same", {
    reason: "HISTORY_UNAVAILABLE",
    retryDelayMs,
    cause: error,
  });
}
