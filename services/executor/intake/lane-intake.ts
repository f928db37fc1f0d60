import type { WorkMessage } from "../../platform/jetstream/work-message.ts";
import type { LaneKind } from "../../wire/lane.ts";
import { Attempt } from "../calls/attempt.ts";
import type { IntakeDeps } from "./intake.ts";
import { createStoredAttempts } from "./stored-attempts.ts";

/** Takes in what waited in a lane, or was left behind by an executor that died. */
export interface LaneIntake {
  /**
   * Resolves when the attempts of the message wait for their target here, or are done with; with the
   * origin of the first. `kindOf` tells which lane of a call's origin the message lies in.
   */
  take(message: WorkMessage, kindOf: (origin: string) => LaneKind | undefined): Promise<string | undefined>;
  /** Takes in nothing more. */
  stop(): void;
}

export function createLaneIntake(deps: IntakeDeps): LaneIntake {
  const { caller, settlements } = deps;
  const stored = createStoredAttempts(deps);
  let stopped = false;
  return {
    async take(message, kindOf) {
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
      const settlement = settlements.take(message, attempts.length);
      if (!settlement) return origin;
      const open = await stored.unrecorded(attempts, message, settlement);
      // At a stop the message goes back as a whole.
      if (stopped) return undefined;
      for (const { entry, call } of open) {
        const { executionId, second, attempt, redrive } = entry;
        const lane = kindOf(call.origin);
        const waiting = new Attempt(caller, call, executionId, second, attempt, settlement, lane, redrive);
        // What changed while it lay there decides before it waits on: it may have another target, or none.
        if (!deps.admit(waiting)) continue;
        if (waiting.call.origin !== call.origin) waiting.lane = undefined;
        caller.submit(waiting);
      }
      return origin;
    },
    stop() {
      stopped = true;
    },
  };
}
