import type { WorkMessage } from "../../platform/jetstream/work-message.ts";
import { Attempt } from "../calls/attempt.ts";
import type { Settlement } from "../settling/settlements.ts";
import { BacklogPace } from "./backlog-pace.ts";
import { createHold } from "./hold.ts";
import type { Intake, IntakeDeps } from "./intake.ts";
import { createStoredAttempts, type StoredAttempt } from "./stored-attempts.ts";

interface HeldRetry extends StoredAttempt {
  settlement: Settlement;
}

// A retry that is due sooner waits in memory, one that is due later in the broker.
const heldAheadMs = 3_000;
// The broker forgets how long a message was to wait when it restarts: it is looked at this often.
const longestPostponementMs = 10 * 60_000;
// Retries of one instant share a timer.
const grainMs = 10;
// One that comes later was kept waiting: by executors that were away, say.
const lateAfterMs = 1_000;

// A message may have a hundred attempts, and each may be a question to history: those of a backlog are
// looked at a few at a time, so that they do not take this process away from what is due now.
const mostMessages = 16;
const mostBytes = 48 * 1024 * 1024;

/** Takes in what is to be tried later, holds it until then, and has the calls made. */
export function createRetryIntake(deps: IntakeDeps): Intake {
  const { clock, caller, settlements } = deps;
  const stored = createStoredAttempts(deps);
  let held = 0;
  const pace = new BacklogPace();
  /** Messages of which history is asked. */
  let checking = 0;
  let stopped = false;

  const hold = createHold<HeldRetry>(clock, (retries) => {
    held -= retries.length;
    if (stopped) return;
    caller.submit(
      retries.map(({ entry, call, settlement }) => {
        const { executionId, second, attempt, redrive } = entry;
        return new Attempt(call, executionId, second, attempt, settlement, undefined, redrive);
      }),
    );
  });

  const keepOpen = async (retries: readonly StoredAttempt[], message: WorkMessage, settlement: Settlement) => {
    checking++;
    const open = await stored.unrecorded(retries, message, settlement);
    checking--;
    if (stopped) return;
    for (const retry of open) {
      held++;
      hold.add(Math.ceil(retry.entry.notBeforeMs / grainMs) * grainMs, { ...retry, settlement });
    }
  };

  return {
    held: () => held,
    room: () => ({
      messages: deps.recordsCalls() && pace.allows(clock.monotonicMs(), clock.nowMs()) ? mostMessages - checking : 0,
      bytes: mostBytes - settlements.bytes(),
    }),
    onMessage(message) {
      if (stopped) {
        settlements.postpone(message, 0);
        return;
      }
      if (message.redelivered) deps.metrics.redelivered();
      const retries = stored.decode(message);
      if (!retries || retries.length === 0) {
        settlements.reject(message);
        return;
      }
      const earliestMs = Math.min(...retries.map(({ entry }) => entry.notBeforeMs));
      const waitMs = earliestMs - clock.nowMs();
      if (waitMs > heldAheadMs) {
        settlements.postpone(message, Math.min(waitMs - heldAheadMs / 2, longestPostponementMs));
        return;
      }
      if (waitMs < -lateAfterMs) pace.took(retries.length);
      const settlement = settlements.take(message, retries.length);
      if (settlement) void keepOpen(retries, message, settlement);
    },
    stop() {
      stopped = true;
      // The message goes back later: others of it may be on the wire.
      hold.drain();
      held = 0;
    },
  };
}
