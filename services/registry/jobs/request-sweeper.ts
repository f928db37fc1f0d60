import type { Clock } from "../../platform/process/clock.ts";
import type { Startable } from "../../platform/process/lifecycle.ts";
import type { Log } from "../../platform/process/log.ts";
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
  let cancel: (() => void) | undefined;
  let sweeping: Promise<void> = Promise.resolve();
  let stopped = false;

  const sweep = async () => {
    for (let removed = sweepRows; removed === sweepRows && !stopped; ) {
      removed = await store.expireRequests(clock.nowMs() - requestMemoryMs, sweepRows);
    }
  };
  const schedule = () => {
    cancel = clock.after(sweepEveryMs, () => {
      sweeping = sweep()
        .catch((error) => log.error({ event: "request_sweep_failed", err: error }))
        .then(() => {
          if (!stopped) schedule();
        });
    });
  };
  return {
    async start() {
      if (!cancel && !stopped) schedule();
    },
    async stop() {
      stopped = true;
      cancel?.();
      await sweeping;
    },
  };
}
