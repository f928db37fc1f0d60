import type { WorkMessage } from "../../platform/jetstream/work-message.ts";
import { type RetryEntry, readRetryBatch } from "../../wire/retry-batch.ts";
import { streams } from "../../wire/streams.ts";
import type { Call } from "../calls/call.ts";
import type { Settlement } from "../settling/settlements.ts";
import { type IntakeDeps, idOf, readable } from "./intake.ts";

/** An attempt as it lay in the broker, to be made now or later. */
export interface StoredAttempt {
  entry: RetryEntry;
  call: Call;
}

/** Reads the attempts of a message of RETRY, LANES or RUNNING, and finds out which are still to be made. */
export interface StoredAttempts {
  /** Undefined when the message cannot be read; what can be is given. */
  decode(message: WorkMessage): StoredAttempt[] | undefined;
  /** Those that history has not recorded; the others are settled. */
  unrecorded(
    attempts: readonly StoredAttempt[],
    message: WorkMessage,
    settlement: Settlement,
  ): Promise<readonly StoredAttempt[]>;
}

const none: ReadonlySet<string> = new Set();

export function createStoredAttempts(
  deps: Pick<IntakeDeps, "log" | "calls" | "states" | "lookup" | "history">,
): StoredAttempts {
  const { log, history } = deps;

  const callOf = ({ entry, executionId, second }: RetryEntry): Call => {
    const call = deps.calls.get(entry);
    // The call makes the id of its result: history would be asked about one execution, and told of another.
    if (executionId !== idOf(call, second)) throw new Error(`${executionId} is no execution of the call with it`);
    return call;
  };

  /**
   * Of first attempts always: the due message that they were moved from may have come again before it was
   * acknowledged, and another made them meanwhile. Of later ones when the message comes again, or they were moved or
   * on the wire before: those that share a record with one that hangs have ended long since.
   */
  const findMade = async (attempts: readonly StoredAttempt[], mayBeMade: boolean): Promise<ReadonlySet<string>> => {
    const firsts = attempts.filter(({ entry }) => entry.attempt === 1).map(({ entry }) => entry.executionId);
    const later = mayBeMade ? attempts.filter(({ entry }) => entry.attempt > 1).map(({ entry }) => entry) : [];
    const [recorded, made] = await Promise.all([
      firsts.length > 0 ? history.findRecorded(firsts) : none,
      later.length > 0 ? history.findMade(later) : none,
    ]);
    return made.size === 0 ? recorded : new Set([...recorded, ...made]);
  };

  return {
    decode(message) {
      try {
        const batch = readRetryBatch(message.data);
        for (const why of batch.refused) log.error({ event: "entry_malformed", sequence: message.seq, why });
        return batch.entries.flatMap((entry) => {
          const call = readable(log, message.seq, () => callOf(entry));
          return call ? [{ entry, call }] : [];
        });
      } catch (error) {
        log.error({ event: "batch_malformed", stream: message.stream, sequence: message.seq, err: error });
        return undefined;
      }
    },
    async unrecorded(attempts, message, settlement) {
      const old = message.storedAtNanos / 1e6 < deps.states.completeSinceMs();
      const [made, known] = await Promise.all([
        findMade(attempts, message.redelivered || message.stream !== streams.retry),
        old ? deps.lookup.learn(attempts.map(({ call }) => call.jobId)) : true,
      ]);
      if (!known) {
        // They may have waited for long, and their jobs be gone: they wait until somebody knows.
        for (let i = 0; i < attempts.length; i++) settlement.refused();
        return [];
      }
      if (made.size === 0) return attempts;
      const open = attempts.filter(({ entry }) => !made.has(entry.executionId));
      for (let i = open.length; i < attempts.length; i++) settlement.done();
      return open;
    },
  };
}
