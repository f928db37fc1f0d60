import type { Clock } from "../../platform/process/clock.ts";

export interface Hold<T> {
  /** Released at this instant of the wall clock, or at once when it is past. */
  add(dueAtMs: number, item: T): void;
  /** Takes back all that was not released. */
  drain(): T[];
}

// The wall clock may be set meanwhile: it is looked at least this often.
const longestTimerMs = 250;

/**
 * Keeps items until their instant, never a moment too short: a timer may fire
 * early against the wall clock, so that it is asked again. Items of one instant
 * share one timer and keep their order.
 */
export function createHold<T>(clock: Clock, release: (items: T[]) => void): Hold<T> {
  const held = new Map<number, T[]>();
  let armedForMs = Number.POSITIVE_INFINITY;
  let cancelTimer: (() => void) | undefined;

  const arm = (dueAtMs: number) => {
    armedForMs = dueAtMs;
    cancelTimer?.();
    // Whole milliseconds, and at least one: a shorter timer fires after one anyway.
    const delayMs = Math.max(1, Math.ceil(dueAtMs - clock.nowMs()));
    cancelTimer = clock.after(Math.min(delayMs, longestTimerMs), wake);
  };

  const wake = () => {
    const now = clock.nowMs();
    const due: number[] = [];
    let next = Number.POSITIVE_INFINITY;
    for (const dueAtMs of held.keys()) {
      if (dueAtMs <= now) due.push(dueAtMs);
      else next = Math.min(next, dueAtMs);
    }
    // Armed first: what is released may add more.
    if (next < Number.POSITIVE_INFINITY) arm(next);
    else armedForMs = next;
    for (const dueAtMs of due.sort((a, b) => a - b)) {
      const items = held.get(dueAtMs);
      held.delete(dueAtMs);
      if (items) release(items);
    }
  };

  return {
    add(dueAtMs, item) {
      if (dueAtMs <= clock.nowMs()) {
        release([item]);
        return;
      }
      const same = held.get(dueAtMs);
      if (same) same.push(item);
      else held.set(dueAtMs, [item]);
      if (dueAtMs < armedForMs) arm(dueAtMs);
    },
    drain() {
      cancelTimer?.();
      armedForMs = Number.POSITIVE_INFINITY;
      const items = [...held.values()].flat();
      held.clear();
      return items;
    },
  };
}
