import { executionIdAt } from "../../domain/identity/position.ts";
import type { Room } from "../../platform/jetstream/consumer-loop.ts";
import type { WorkMessage } from "../../platform/jetstream/work-message.ts";
import type { Clock } from "../../platform/process/clock.ts";
import type { Log } from "../../platform/process/log.ts";
import type { Attempt } from "../calls/attempt.ts";
import type { Call } from "../calls/call.ts";
import type { CallCache } from "../calls/call-cache.ts";
import type { HttpCaller } from "../calls/http-caller.ts";
import type { ExecutorMetrics } from "../executor-metrics.ts";
import type { Settlements } from "../settling/settlements.ts";
import type { JobLookup } from "../verdict/job-lookup.ts";
import type { JobStates } from "../verdict/job-states.ts";
import type { HistoryLookup } from "./history-lookup.ts";

/** Takes in the messages of one consumer, holds what is in them until its time, and has the calls made. */
export interface Intake {
  onMessage(message: WorkMessage): void;
  /** How much may come now. */
  room(): Room;
  /** Occurrences held until their time. */
  held(): number;
  /** Fires nothing more. Held due batches are given back here; held retries go back with their message. */
  stop(): void;
}

export interface IntakeDeps {
  clock: Clock;
  log: Log;
  calls: CallCache;
  caller: HttpCaller;
  states: JobStates;
  lookup: JobLookup;
  history: HistoryLookup;
  settlements: Settlements;
  metrics: ExecutorMetrics;
  /** Whether the broker keeps what is told of the calls: what it does not have is called again once this process ends. */
  recordsCalls: () => boolean;
  /** False when the attempt is not to be made, and somebody sees to its occurrence. */
  admit: (attempt: Attempt) => boolean;
}

/** The id of a call's execution at a second. */
export function idOf(call: Call, second: number): string {
  return executionIdAt(call.jobId, { second, run: call.run });
}

/** One entry that cannot be read must not cost the others of its message. */
export function readable<T>(log: Log, sequence: number, read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    log.error({ event: "entry_malformed", sequence, err: error });
    return undefined;
  }
}
