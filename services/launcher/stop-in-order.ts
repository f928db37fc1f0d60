import type { Clock } from "../platform/process/clock.ts";
import type { Child, HowStopped } from "./children/child.ts";

export interface StopStep {
  child: Child;
  /** The deadline, counted from the begin of the stop. A step that ends early leaves its time to those after it. */
  untilMs: number;
}

/**
 * Stops children one after another, in the order given; each is killed when its
 * time is up, so that the whole takes no longer than the last step's. `force`
 * kills what is left at once. True when everything ended by itself.
 */
export async function stopInOrder(steps: readonly StopStep[], clock: Clock, force: AbortSignal): Promise<boolean> {
  const startedAtMs = clock.monotonicMs();
  const stopped: HowStopped[] = [];
  for (const { child, untilMs } of steps) {
    const timer = new AbortController();
    const cancel = clock.after(startedAtMs + untilMs - clock.monotonicMs(), () => timer.abort());
    stopped.push(await child.stop(AbortSignal.any([timer.signal, force])));
    cancel();
  }
  return stopped.every((how) => how === "drained");
}
