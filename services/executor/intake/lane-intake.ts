import type { WorkMessage } from "../../platform/jetstream/work-message.ts";
import type { LaneKind } from "../../wire/lane.ts";
import { Attempt } from "../calls/attempt.ts";
import type { IntakeDeps } from "./intake.ts";
import { createStoredAttempts } from "./stored-attempts.ts";

/** Takes in what waited in a lane, or was left behind by an executor that died. */
export interface LaneIntake {
  /**
   * Resolves when the attempts of the message wait for their target here, or are done with; with the
   * origin of the first. `kindOf` tells which lane of a call's origin the message lies in; `account`, whose bytes it
   * counts among.
   */
  take(
    message: WorkMessage,
    kindOf: (origin: string) => LaneKind | undefined,
    account: number,
  ): Promise<string | undefined>;
  /** Looks again at an attempt that has waited: it is made, waits on, or is not to be made any more. */
  review(attempt: Attempt): void;
  /** Takes in nothing more. */
  stop(): void;
}

const reviewAgainMs = 1_000;

export function createLaneIntake(deps: IntakeDeps): LaneIntake {
  const { clock, caller, settlements } = deps;
  const stored = createStoredAttempts(deps);
  let stopped = false;

  const submit = (attempt: Attempt) => {
    const { origin } = attempt.call;
    // What changed while it lay there decides before it waits on: it may have another target, or none.
    if (!deps.admit(attempt)) return;
    if (attempt.call.origin !== origin) attempt.lane = undefined;
    caller.submit([attempt]);
  };

  const review = async (attempt: Attempt) => {
    if (stopped) return;
    const askedAtMs = clock.nowMs();
    const learnt = await deps.lookup.learn([attempt.call.jobId]);
    // It goes back with its message.
    if (stopped) return;
    if (learnt) {
      attempt.knownAtMs = askedAtMs;
      submit(attempt);
    } else {
      clock.after(reviewAgainMs, () => void review(attempt));
    }
  };

  return {
    async take(message, kindOf, account) {
      if (stopped) {
        settlements.postpone(message, 0);
        return undefined;
      }
      if (message.redelivered) deps.metrics.redelivered();
      const attempts = stored.decode(message);
      const origin = attempts?.[0]?.call.origin;
      if (!attempts || origin === undefined) {
        settlements.reject(message);
        return undefined;
      }
      const settlement = settlements.take(message, attempts.length, account);
      if (!settlement) return origin;
      const takenAtMs = clock.nowMs();
      const open = await stored.unrecorded(attempts, message, settlement);
      // At a stop the message goes back as a whole.
      if (stopped) return undefined;
      for (const { entry, call } of open) {
        const { executionId, second, attempt, redrive } = entry;
        const lane = kindOf(call.origin);
        const waiting = new Attempt(call, executionId, second, attempt, settlement, lane, redrive);
        waiting.moved = true;
        waiting.knownAtMs = takenAtMs;
        submit(waiting);
      }
      return origin;
    },
    review: (attempt) => void review(attempt),
    stop() {
      stopped = true;
    },
  };
}
