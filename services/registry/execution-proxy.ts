import type { ExecutionService } from "../../gen/carillon/v1/execution_pb.ts";
import type { CallContext, ServiceHandlers } from "../platform/rpc/call.ts";
import type { GrpcClient } from "../platform/rpc/grpc-client.ts";
import { RpcError } from "../platform/rpc/rpc-error.ts";
import { jobNotFound, rpcNotImplemented } from "./refusals.ts";
import type { Store } from "./store/store.ts";

// History answers within milliseconds; who waits this long should be told.
const historyTimeoutMs = 3_000;
const retryDelayMs = 1_000;

/** ExecutionService at the front door: history is asked, about jobs that exist. */
export function createExecutionProxy(deps: {
  store: Store;
  history: Pick<GrpcClient<typeof ExecutionService>, "listExecutions" | "getExecution" | "watchExecutions">;
}): ServiceHandlers<typeof ExecutionService> {
  const { store, history } = deps;
  const requireJob = (jobId: string) => {
    if (!store.jobs.get(jobId)) throw jobNotFound(jobId);
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
      try {
        // The stream is open once history says so, not when it was asked for.
        const onHeader = () => context.open();
        yield* history.watchExecutions(request, { signal: context.signal, onHeader });
      } catch (error) {
        rethrow(error, context);
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
