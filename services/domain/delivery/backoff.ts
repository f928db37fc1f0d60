/** The bounds of a job's waits between attempts. */
export interface BackoffPolicy {
  /** The span of the first wait. */
  minBackoffMs: number;
  /** The longest span. */
  maxBackoffMs: number;
}

// A target may ask for any wait; a day is the longest that a job's own policy allows.
const longestWaitMs = 24 * 3_600_000;

/**
 * How long to wait after failed attempt n (from 1): at random between 0 and
 * min(max, min * 2^(n-1)), full jitter, after "Exponential Backoff And Jitter",
 * AWS Architecture Blog, 2015. What the target asked for with Retry-After is
 * the least.
 */
export function retryWaitMs(
  policy: BackoffPolicy,
  failedAttempt: number,
  random: () => number,
  retryAfterMs = 0,
): number {
  const spanMs = Math.min(policy.maxBackoffMs, policy.minBackoffMs * 2 ** (failedAttempt - 1));
  return Math.min(longestWaitMs, Math.max(Math.floor(random() * spanMs), retryAfterMs));
}

/**
 * The wait that a Retry-After header asks for (RFC 9110, section 10.2.3): whole
 * seconds, or an HTTP date; no longer than is ever waited. 0 when it says neither, or an instant that is past.
 */
export function parseRetryAfterMs(value: string, nowMs: number): number {
  const text = value.trim();
  if (/^\d+$/.test(text)) return Math.min(Number(text) * 1000, longestWaitMs);
  // Date.parse reads much that is no HTTP date; all three forms of one start with a weekday.
  if (!/^(mon|tue|wed|thu|fri|sat|sun)/i.test(text)) return 0;
  const atMs = Date.parse(text);
  return Number.isNaN(atMs) ? 0 : Math.min(Math.max(0, atMs - nowMs), longestWaitMs);
}
