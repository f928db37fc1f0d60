import { randomBytes, randomUUID } from "node:crypto";

/**
 * The one place that asks the machine for time and randomness. Everything else
 * takes a `Clock`, so that tests can turn its hands.
 */
export interface Clock {
  /** Wall clock, unix milliseconds. It may jump. */
  nowMs(): number;
  /** Monotonic milliseconds with fractions, from an arbitrary start. It never goes back. */
  monotonicMs(): number;
  /** Calls back once after a span; the returned function cancels it. */
  after(delayMs: number, callback: () => void): () => void;
}

/** Uniform in [0, 1). */
export type Random = () => number;

// setTimeout overflows to "at once" past 2^31-1 ms.
const longestTimerMs = 2_147_483_647;

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  after(delayMs, callback) {
    const timer = setTimeout(callback, Math.max(0, Math.min(delayMs, longestTimerMs)));
    return () => clearTimeout(timer);
  },
};

export const systemRandom: Random = () => Math.random();

/** Nobody can guess it: for secrets. Two hexadecimal digits a byte. */
export function systemSecret(bytes: number): string {
  return randomBytes(bytes).toString("hex");
}

/** A UUID of random bits (RFC 9562, version 4), for what is to be found again in a log. */
export function systemUuid(): string {
  return randomUUID();
}

/** Calls back once what has come off the sockets in this turn of the event loop is handled: no span of time. */
export function afterThisTurn(callback: () => void): void {
  setImmediate(callback);
}

/** Whole unix seconds of an instant. */
export function secondOf(ms: number): number {
  return Math.floor(ms / 1000);
}

/** Resolves after a span, or at once when the signal is aborted. */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const done = () => {
      cancel();
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const cancel = clock.after(delayMs, done);
    signal?.addEventListener("abort", done, { once: true });
  });
}
