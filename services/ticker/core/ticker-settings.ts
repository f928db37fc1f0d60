import type { BatchLimits } from "./batch.ts";

export interface TickerSettings {
  ticker: string;
  partitions: number;
  /** The occurrences of second S are published from S minus this on. */
  leadMs: number;
  limits: BatchLimits;
  /** So many due messages, of so many bytes, may be without an acknowledgement. */
  maxOutstanding: number;
  maxOutstandingBytes: number;
  /** A ticker without a new tick for this long is dead. */
  deadAfterMs: number;
  /** What a ticker without a new tick for this long has left behind is removed, once nobody needs it. */
  forgetAfterMs: number;
  /** When an own tick is not acknowledged for this long, publishing stops. */
  fenceAfterMs: number;
  /** So far back occurrences are owed when nobody knows what was published. */
  lookbackSeconds: number;
  /** A new JOBS is taken for filled when nothing came for this long. */
  filledAfterMs: number;
}

export const defaultTickerSettings = {
  // Not a whole second: publishing a second would then fall on the instant at which
  // the one before is fired, and the two take each other's cores (p99 at 2,000 a
  // second: 209 ms with 1,000, 125 ms with 700, in one session).
  leadMs: 700,
  maxOutstanding: 512,
  maxOutstandingBytes: 32 * 1024 * 1024,
  deadAfterMs: 4_000,
  // Longer than a restart takes, so that the ticks of one that comes back stay together.
  forgetAfterMs: 60_000,
  fenceAfterMs: 2_000,
  lookbackSeconds: 3_600,
  // Well over what a registry takes to start again in the middle of filling it.
  filledAfterMs: 15_000,
} as const;

/**
 * A wall clock that was set back by less is waited for, and nothing is repeated.
 * By more it is not: the partition would be silent for too long.
 */
export const aheadToleratedSeconds = 60;
