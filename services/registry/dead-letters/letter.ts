import type { AttemptResult } from "../../wire/attempt-result.ts";

/** A dead letter, as the registry needs it: without the call that failed, since the job's newest is made. */
export interface Letter {
  /** In DEAD. */
  sequence: number;
  /** When it was stored there, by the broker's clock. */
  diedAtMs: number;
  executionId: string;
  result: AttemptResult;
}
