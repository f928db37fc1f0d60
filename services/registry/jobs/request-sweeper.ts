import type { Clock } from "../../platform/process/clock.ts";
import type { Startable } from "../../platform/process/lifecycle.ts";
import type { Log } from "../../platform/process/log.ts";
import { createPeriodic } from "../../platform/process/periodic.ts";
import type { RegistryStore } from "../store/contract.ts";

/** How long a request_id is remembered (AIP-155). */
export const requestMemoryMs = 24 * 3_600_000;

const sweepEveryMs = 60_000;
// A transaction of this many rows takes some milliseconds.
const sweepRows = 2_000;

/** Forgets answers whose time is over, a few at a time. */
export function createRequestSweeper(deps: {
  store: Pick<RegistryStore, "expireRequests">;
  clock: Clock;
  log: Log;
}): Startable {
  const { store, clock, log } = deps;
  const onError = (error: unknown) => log.error({ event: "request_sweep_failed", err: error });
  return createPeriodic({ clock, everyMs: sweepEveryMs, onError }, async (stopped) => {
    for (let removed = sweepRows; removed === sweepRows && !stopped(); ) {
      removed = await store.expireRequests(clock.nowMs() - requestMemoryMs, sweepRows);
    }
  });
}
