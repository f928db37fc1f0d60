import type { WorkMessage } from "../../platform/jetstream/work-message.ts";
import { type RetryEntry, readRetryBatch } from "../../wire/retry-batch.ts";
import { Attempt } from "../calls/attempt.ts";
import type { Call } from "../calls/call.ts";
import type { Settlement } from "../settling/settlements.ts";
import { createHold } from "./hold.ts";
import { type Intake, type IntakeDeps, idOf, readable } from "./intake.ts";

interface HeldRetry {
  entry: RetryEntry;
  call: Call;
  settlement: Settlement;
}

// A retry that is due sooner waits in memory, one that is due later in the broker.
const heldAheadMs = 10_000;
// The broker forgets how long a message was to wait when it restarts: it is looked at this often.
const longestPostponementMs = 10 * 60_000;
// Retries of one instant share a timer.
const grainMs = 10;
const maxHeldRetries = 200_000;
const overloadedDelayMs = 2_000;

/** Takes in what is to be tried later, holds it until then, and has the calls made. */
export function createRetryIntake(deps: IntakeDeps): Intake {
  const { clock, log, caller, states, settlements } = deps;
  let held = 0;
  let stopped = false;

  const hold = createHold<HeldRetry>(clock, (retries) => {
    held -= retries.length;
    if (stopped) return;
    for (const { entry, call, settlement } of retries) {
      const { executionId, second, attempt } = entry;
      caller.submit(new Attempt(caller, call, executionId, second, attempt, settlement));
    }
  });

  const keep = (retry: HeldRetry) => {
    held++;
    hold.add(Math.ceil(retry.entry.notBeforeMs / grainMs) * grainMs, retry);
  };

  const keepUnrecorded = async (retry: HeldRetry) => {
    const { executionId, attempt } = retry.entry;
    const recorded = await deps.history.hasAttempt(executionId, attempt);
    if (stopped) return;
    if (recorded) retry.settlement.done();
    else keep(retry);
  };

  /**
   * Keeps first attempts that were parked, those that history has not recorded. Their due message may
   * have come again before it was acknowledged: then another made them meanwhile.
   */
  const keepParked = async (parked: readonly HeldRetry[]) => {
    const recorded = await deps.history.findRecorded(parked.map(({ entry }) => entry.executionId));
    if (stopped) return;
    for (const retry of parked) {
      if (recorded.has(retry.entry.executionId)) retry.settlement.done();
      else keep(retry);
    }
  };

  const callOf = ({ entry, executionId, second }: RetryEntry): Call => {
    const call = deps.calls.get(entry);
    // The call makes the id of its result: history would be asked about one execution, and told of another.
    if (executionId !== idOf(call, second)) throw new Error(`${executionId} is no execution of the call with it`);
    return call;
  };

  const decode = (message: WorkMessage): Omit<HeldRetry, "settlement">[] | undefined => {
    try {
      const batch = readRetryBatch(message.data);
      for (const why of batch.refused) log.error({ event: "entry_malformed", sequence: message.seq, why });
      return batch.entries.flatMap((entry) => {
        const call = readable(log, message.seq, () => callOf(entry));
        return call ? [{ entry, call }] : [];
      });
    } catch (error) {
      log.error({ event: "retry_batch_malformed", sequence: message.seq, err: error });
      return undefined;
    }
  };

  const keepAll = async (retries: readonly HeldRetry[], redelivered: boolean, old: boolean) => {
    if (old) await deps.lookup.learn(retries.map(({ call }) => call.jobId));
    if (stopped) return;
    const parked = retries.filter(({ entry }) => entry.attempt === 1);
    if (parked.length > 0) void keepParked(parked);
    for (const retry of retries) {
      if (retry.entry.attempt === 1) continue;
      if (redelivered) void keepUnrecorded(retry);
      else keep(retry);
    }
  };

  return {
    held: () => held,
    onMessage(message) {
      if (stopped) {
        settlements.postpone(message, 0);
        return;
      }
      const { redelivered } = message;
      if (redelivered) deps.metrics.redelivered();
      if (held > maxHeldRetries) {
        settlements.postpone(message, overloadedDelayMs);
        return;
      }
      const entries = decode(message);
      if (!entries || entries.length === 0) {
        settlements.reject(message);
        return;
      }
      const earliestMs = Math.min(...entries.map(({ entry }) => entry.notBeforeMs));
      const waitMs = earliestMs - clock.nowMs();
      if (waitMs > heldAheadMs) {
        settlements.postpone(message, Math.min(waitMs - heldAheadMs / 2, longestPostponementMs));
        return;
      }
      const settlement = settlements.take(message, entries.length);
      if (!settlement) return;
      const old = message.storedAtNanos / 1e6 < states.completeSinceMs();
      void keepAll(
        entries.map((one) => ({ ...one, settlement })),
        redelivered,
        old,
      );
    },
    stop() {
      stopped = true;
      // The message goes back later: others of it may be on the wire.
      hold.drain();
      held = 0;
    },
  };
}
