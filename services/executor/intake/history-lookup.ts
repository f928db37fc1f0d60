import pLimit from "p-limit";
import type { Clock } from "../../platform/process/clock.ts";
import type { Address } from "../../platform/process/environment.ts";
import type { Startable } from "../../platform/process/lifecycle.ts";
import type { Log } from "../../platform/process/log.ts";
import { createGrpcClient } from "../../platform/rpc/grpc/grpc-client.ts";
import { HistoryService } from "../../wire/history-service.ts";
import type { RetryEntry } from "../../wire/retry-batch.ts";

/**
 * Asks history about what may have been fired before. If history does not
 * answer, nothing counts as recorded: a repeat is better than a loss.
 */
export interface HistoryLookup extends Startable {
  /** Which of these executions have a record. */
  findRecorded(executionIds: readonly string[]): Promise<ReadonlySet<string>>;
  /** The executions of those among these attempts that are recorded, or whose executions have ended. */
  findMade(attempts: readonly RetryEntry[]): Promise<ReadonlySet<string>>;
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
    findMade: (attempts) =>
      ask(async () => {
        const asked = attempts.map(({ executionId, attempt, redrive }) => ({
          executionId,
          attempt,
          redriven: redrive !== undefined,
        }));
        return new Set((await history.findMade({ attempts: asked })).executionIds);
      }, none),
    async start() {},
    async stop() {
      history.close();
    },
  };
}
