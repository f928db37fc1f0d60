import pLimit from "p-limit";
import { ExecutionService, ExecutionStatus } from "../../../gen/carillon/v1/execution_pb.ts";
import type { Clock } from "../../platform/process/clock.ts";
import type { Address } from "../../platform/process/environment.ts";
import type { Startable } from "../../platform/process/lifecycle.ts";
import type { Log } from "../../platform/process/log.ts";
import { RpcError } from "../../platform/rpc/errors/rpc-error.ts";
import { createGrpcClient } from "../../platform/rpc/grpc/grpc-client.ts";
import { HistoryService } from "../../wire/history-service.ts";

/**
 * Asks history about what may have been fired before. If history does not
 * answer, nothing counts as recorded: a repeat is better than a loss.
 */
export interface HistoryLookup extends Startable {
  /** Which of these executions have a record. */
  findRecorded(executionIds: readonly string[]): Promise<ReadonlySet<string>>;
  /** Whether this attempt, or the end of its execution, is recorded. */
  hasAttempt(executionId: string, attempt: number): Promise<boolean>;
}

// Both kinds of question, for all messages together.
const maxQuestions = 32;

const none: ReadonlySet<string> = new Set();

export function createHistoryLookup(
  /** `timeoutMs` of one question. */
  target: { address: Address; token?: string; timeoutMs: number },
  deps: { clock: Clock; log: Log },
): HistoryLookup {
  const history = createGrpcClient(HistoryService, target, deps);
  const executions = createGrpcClient(ExecutionService, target, deps);
  const limit = pLimit(maxQuestions);
  return {
    findRecorded: (executionIds) =>
      limit(async () => {
        try {
          const answer = await history.findRecorded({ executionIds: [...executionIds] });
          return new Set(answer.executionIds);
        } catch (error) {
          deps.log.warn({ event: "history_not_asked", executions: executionIds.length, err: error });
          return none;
        }
      }),
    hasAttempt: (executionId, attempt) =>
      limit(async () => {
        try {
          const execution = await executions.getExecution({ executionId });
          const retrying = execution.status === ExecutionStatus.RETRYING;
          return !retrying || execution.attempts.some((one) => one.attempt >= attempt);
        } catch (error) {
          if (!(error instanceof RpcError) || error.code !== "NOT_FOUND") {
            deps.log.warn({ event: "history_not_asked", executionId, err: error });
          }
          return false;
        }
      }),
    async start() {},
    async stop() {
      history.close();
      executions.close();
    },
  };
}
