import { executionIdOf, parseExecutionId } from "../../domain/identity/execution-id.ts";
import { runOfManual } from "../../domain/identity/position.ts";
import type { ServiceHandlers } from "../../platform/rpc/call.ts";
import { invalidField } from "../../platform/rpc/errors/rpc-error.ts";
import type { HistoryService } from "../../wire/history-service.ts";
import type { HistoryStore } from "../store/store.ts";

/** A due message holds 100: enough for any redelivery, and 30 ms of work. */
const maxIds = 10_000;

/** What executors ask before they fire a batch that came again. */
export function createHistoryHandlers(deps: {
  store: Pick<HistoryStore, "has" | "hasManual">;
}): ServiceHandlers<typeof HistoryService> {
  const { store } = deps;

  const isRecorded = (executionId: string): boolean => {
    const parts = parseExecutionId(executionId);
    if (!parts) return false;
    if (parts.kind === "manual") return store.hasManual(parts.jobId, runOfManual(parts.unique));
    const { jobId, second } = parts;
    return executionIdOf(jobId, second) === executionId && store.has(jobId, { second, run: "" });
  };

  return {
    findRecorded({ executionIds }) {
      if (executionIds.length > maxIds) {
        throw invalidField("execution_ids", `has ${executionIds.length} items; at most ${maxIds} are allowed`);
      }
      return { executionIds: executionIds.filter(isRecorded) };
    },
  };
}
