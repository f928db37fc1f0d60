import type { Clock } from "./clock.ts";
import type { Startable } from "./lifecycle.ts";

/**
 * Does a piece of work again and again, from a span after the start on, and the span begins anew when the work is done.
 * A stop waits for what is under way; `stopped` tells the work of it. What it rejects with goes to `onError`, and the
 * next time comes all the same.
 */
export function createPeriodic(
  { clock, everyMs, onError }: { clock: Clock; everyMs: number; onError: (error: unknown) => void },
  work: (stopped: () => boolean) => Promise<void>,
): Startable {
  let cancel: (() => void) | undefined;
  let working: Promise<void> = Promise.resolve();
  let stopped = false;

  const schedule = () => {
    cancel = clock.after(everyMs, () => {
      working = work(() => stopped)
        .catch(onError)
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
      await working;
    },
  };
}
