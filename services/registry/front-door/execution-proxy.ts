import type { ExecutionService } from "../../../gen/carillon/v1/execution_pb.ts";
import type { Clock } from "../../platform/process/clock.ts";
import type { CallContext, ServiceHandlers } from "../../platform/rpc/call.ts";
import { RpcError } from "../../platform/rpc/errors/rpc-error.ts";
import type { GrpcClient } from "../../platform/rpc/grpc/grpc-client.ts";
import { jobNotFound, rpcNotImplemented } from "../jobs/refusals.ts";
import type { Store } from "../store/store.ts";

// History answers within milliseconds; who waits this long should be told.
const historyTimeoutMs = 3_000;
const retryDelayMs = 1_000;

// A second's look costs one read by the primary key, whatever else is committed.
// What was already due when its job was deleted is told within the lead and some
// batches' time: two looks more.
const lookMs = 1_000;
const looksAfterwards = 2;

/** ExecutionService at the front door: history is asked, about jobs that exist. */
export function createExecutionProxy(deps: {
  store: Pick<Store, "jobs">;
  clock: Clock;
  history: Pick<GrpcClient<typeof ExecutionService>, "listExecutions" | "getExecution" | "watchExecutions">;
}): ServiceHandlers<typeof ExecutionService> {
  const { store, clock, history } = deps;
  const requireJob = (jobId: string) => {
    if (!store.jobs.get(jobId)) throw jobNotFound(jobId);
  };
  /** Aborts once the job has been gone for a while; the returned function ends the looking. */
  const whenGone = (jobId: string, { signal }: CallContext, gone: AbortController) => {
    let cancel = () => {};
    const look = (missing: number) => {
      cancel = clock.after(lookMs, () => {
        // The store is closed some time after the watchers were told to stop.
        if (signal.aborted) return;
        const times = store.jobs.get(jobId) ? 0 : missing + 1;
        if (times > looksAfterwards) gone.abort();
        else look(times);
      });
    };
    look(0);
    return () => cancel();
  };
  const optionsOf = (context: CallContext) => ({
    timeoutMs: Math.min(historyTimeoutMs, context.remainingMs() ?? historyTimeoutMs),
    signal: context.signal,
  });
  return {
    async listExecutions(request, context) {
      requireJob(request.jobId);
      return history.listExecutions(request, optionsOf(context)).catch((error) => rethrow(error, context));
    },
    async getExecution(request, context) {
      return history.getExecution(request, optionsOf(context)).catch((error) => rethrow(error, context));
    },
    async *watchExecutions(request, context) {
      requireJob(request.jobId);
      // Nothing more can come of a job that is gone: its watchers hear the end, as of any list.
      const gone = new AbortController();
      const stopLooking = whenGone(request.jobId, context, gone);
      try {
        // The stream is open once history says so, not when it was asked for.
        const onHeader = () => context.open();
        const signal = AbortSignal.any([context.signal, gone.signal]);
        yield* history.watchExecutions(request, { signal, onHeader });
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

/** History's own refusals pass as they are; that it cannot be reached is ours to explain. */
function rethrow(error: unknown, context: CallContext): never {
  const gone = error instanceof RpcError && (error.code === "UNAVAILABLE" || error.code === "DEADLINE_EXCEEDED");
  if (!gone || context.signal.aborted) throw error;
  throw new RpcError("UNAVAILABLE", "the history service cannot be reached; jobs fire all the same", {
    reason: "HISTORY_UNAVAILABLE",
    retryDelayMs,
    cause: error,
  });
}
