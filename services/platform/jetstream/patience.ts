import type { Clock } from "../process/clock.ts";

/** How long an answer of the broker is waited for, by whoever asks again after a failure. */
export interface Patience {
  /** Rejects when the answer takes too long. It takes longer than that the next time, up to the client's own limit. */
  within<T>(answer: Promise<T>): Promise<T>;
}

const growth = 1.5;
const longestMs = 10_000;

/**
 * In a cluster nobody answers a request that comes before a new leader is elected, also not later: the sooner it is made
 * again, the sooner things go on. What takes the broker long itself gets more time with each failure.
 */
export function createPatience(clock: Clock, firstMs = 2_000): Patience {
  let waitMs = firstMs;
  return {
    async within(answer) {
      const mineMs = waitMs;
      const late = Promise.withResolvers<never>();
      const cancel = clock.after(mineMs, () => {
        late.reject(new Error(`the broker has not answered within ${mineMs} ms`));
        // Of many that wait together the first counts.
        waitMs = Math.max(waitMs, Math.min(mineMs * growth, longestMs));
      });
      try {
        const answered = await Promise.race([answer, late.promise]);
        waitMs = firstMs;
        return answered;
      } finally {
        cancel();
      }
    },
  };
}
