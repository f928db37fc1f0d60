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
  /** Whether this attempt, or the end of its execution, is recorded. One that was redriven had ended as FAILED before. */
  hasAttempt(executionId: string, attempt: number, redriven: boolean): Promise<boolean>;
}

// Both kinds of question, for all messages together.
const maxQuestions = 32;
// Whoever does not answer is left alone for so long: all that waits would wait for it in turn.
const leftAloneMs = 5_000;

const none = new Set<string>();

export function createHistoryLookup(
  /** `timeoutMs` of one question. */
  target: { address: Address; token?: string; timeoutMs: number },
  deps: { clock: Clock; log: Log },
): HistoryLookup {
  const history = createGrpcClient(HistoryService, target, deps);
  const executions = createGrpcClient(ExecutionService, target, deps);
  const limit = pLimit(maxQuestions);
  let silentUntilMs = 0;

  /** The answer, or `otherwise` where there is none. */
  const ask = <T>(question: () => Promise<T>, otherwise: T): Promise<T> =>
    limit(async () => {
      if (deps.clock.monotonicMs() < silentUntilMs) return otherwise;
      try {
        return await question();
      } catch (error) {
        if (deps.clock.monotonicMs() >= silentUntilMs) {
          const reason = error instanceof Error ? error.message : String(error);
          deps.log.warn({ event: "history_not_asked", reason, askedAgainInMs: leftAloneMs });
        }
        silentUntilMs = deps.clock.monotonicMs() + leftAloneMs;
        return otherwise;
      }
    });

  return {
    findRecorded: (executionIds) =>
      ask(async () => new Set((await history.findRecorded({ executionIds: [...executionIds] })).executionIds), none),
    hasAttempt: (executionId, attempt, redriven) =>
      ask(async () => {
        try {
          const { status, attempts } = await executions.getExecution({ executionId });
          const open = status === ExecutionStatus.RETRYING || (redriven && status === ExecutionStatus.FAILED);
          return !open || attempts.some((one) => one.attempt >= attempt);
        } catch (error) {
          if (error instanceof RpcError && error.code === "NOT_FOUND") return false;
          throw error;
        }
      }, false),
    async start() {},
    async stop() {
      history.close();
      executions.close();
    },
  };
}
