import type { Clock } from "../../platform/process/clock.ts";

/**
 * Lets the answer to a change wait until the broker has it, so that tickers and
 * executors obey it by the time that the caller knows.
 */
export interface PublicationWait {
  /** Told by the relay: the broker keeps the job's state of this generation. */
  published(jobId: string, generation: number): void;
  /** Resolves when this state or a newer one is published, and after a moment in any case: the change itself stands. */
  until(jobId: string, generation: number): Promise<void>;
  /** Whether somebody waits for a state of this job. */
  awaited(jobId: string): boolean;
}

// Longer than the lead: what executors held when the change was made has fired by then.
const longestWaitMs = 1_000;

interface Waiter {
  generation: number;
  done: () => void;
}

export function createPublicationWait(clock: Clock): PublicationWait {
  const waiters = new Map<string, Waiter[]>();

  const remove = (jobId: string, gone: (waiter: Waiter) => boolean) => {
    const left = waiters.get(jobId)?.filter((waiter) => !gone(waiter)) ?? [];
    if (left.length > 0) waiters.set(jobId, left);
    else waiters.delete(jobId);
  };

  return {
    published(jobId, generation) {
      const waiting = waiters.get(jobId);
      if (!waiting) return;
      const reached = waiting.filter((waiter) => waiter.generation <= generation);
      remove(jobId, (waiter) => waiter.generation <= generation);
      for (const { done } of reached) done();
    },
    awaited: (jobId) => waiters.has(jobId),
    until: (jobId, generation) =>
      new Promise((resolve) => {
        const cancel = clock.after(longestWaitMs, () => {
          remove(jobId, (one) => one === waiter);
          resolve();
        });
        const done = () => {
          cancel();
          resolve();
        };
        const waiter: Waiter = { generation, done };
        waiters.set(jobId, [...(waiters.get(jobId) ?? []), waiter]);
      }),
  };
}
