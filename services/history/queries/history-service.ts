import { ExecutionStatus } from "../../../gen/carillon/v1/execution_pb.ts";
import type { ExecutionIdParts } from "../../domain/identity/execution-id.ts";
import type { ServiceHandlers } from "../../platform/rpc/call-context.ts";
import { invalidField } from "../../platform/rpc/errors/rpc-error.ts";
import type { HistoryService } from "../../wire/history-service.ts";
import { type ExecutionRecord, hasEnded } from "../records/execution-record.ts";
import type { HistoryStore } from "../store/contract.ts";
import { readExecutionId } from "./read-execution-id.ts";

/** A due message holds 100: enough for any redelivery, and 30 ms of work. */
const maxIds = 10_000;
/** Each is read with all its attempts. */
const maxAttempts = 1_000;

/** What executors ask before they fire a batch that came again. */
export function createHistoryHandlers(deps: {
  store: Pick<HistoryStore, "findRecorded" | "find">;
}): ServiceHandlers<typeof HistoryService> {
  return {
    async findRecorded({ executionIds }) {
      if (executionIds.length > maxIds) {
        throw invalidField("execution_ids", `has ${executionIds.length} items; at most ${maxIds} are allowed`);
      }
      const asked: { id: string; parts: ExecutionIdParts }[] = [];
      for (const id of executionIds) {
        const parts = readExecutionId(id);
        if (parts) asked.push({ id, parts });
      }
      const recorded = await deps.store.findRecorded(asked.map(({ parts }) => parts));
      return { executionIds: asked.filter((_, i) => recorded[i]).map(({ id }) => id) };
    },
    async findMade({ attempts }) {
      if (attempts.length > maxAttempts) {
        throw invalidField("attempts", `has ${attempts.length} items; at most ${maxAttempts} are allowed`);
      }
      const executionIds: string[] = [];
      for (const { executionId, attempt, redriven } of attempts) {
        const parts = readExecutionId(executionId);
        const record = parts && (await deps.store.find(parts));
        if (record && !isToBeMade(record, attempt, redriven)) executionIds.push(executionId);
      }
      return { executionIds };
    },
  };
}

function isToBeMade(record: ExecutionRecord, attempt: number, redriven: boolean): boolean {
  const isOpen = !hasEnded(record) || (redriven && record.status === ExecutionStatus.FAILED);
  return isOpen && record.attempts.every((one) => one.attempt < attempt);
}
