import type { Now } from "./model.ts";

interface Feed {
  createdMs: number;
  filled: boolean;
  /** Something came from the stream. */
  stirred: boolean;
  /** When the reader reached the end and found nothing new since; monotonic. */
  quietSinceMs: number | undefined;
}

// A stream that is older was filled long ago: a million jobs take six minutes.
const youngMs = 10 * 60_000;

// Four times the interval at which the clock is looked at.
const standstillMs = 1_000;

/**
 * Whether the streams of jobs that are read hold all jobs yet. One that was made
 * anew is filled bit by bit, and reaching its end says little meanwhile: it is
 * filled when it is old, or when nothing has come for a while.
 */
export class JobFeeds {
  readonly #filledAfterMs: number;
  readonly #feeds = new Map<number, Feed>();
  #lastLookMs = 0;

  constructor(filledAfterMs: number) {
    this.#filledAfterMs = filledAfterMs;
  }

  /** Tells whether it is another stream than the one that was read before under this id. */
  opened(followId: number, createdMs: number): boolean {
    const before = this.#feeds.has(followId);
    this.#feeds.set(followId, { createdMs, filled: false, stirred: false, quietSinceMs: undefined });
    return before;
  }

  stirred(followId: number): void {
    const feed = this.#feeds.get(followId);
    if (!feed || feed.filled) return;
    feed.stirred = true;
    feed.quietSinceMs = undefined;
  }

  ended(now: Now, followId: number): void {
    const feed = this.#feeds.get(followId);
    if (feed) feed.quietSinceMs ??= now.monotonicMs;
  }

  /** Nothing was heard while the connection was away: silence counts from here. */
  heardAgain(now: Now): void {
    for (const feed of this.#feeds.values()) if (feed.quietSinceMs !== undefined) feed.quietSinceMs = now.monotonicMs;
  }

  /** Those that turn out to be filled by now, each once. */
  takeFilled(now: Now): number[] {
    // The process stood still: what came meanwhile is still to be read.
    if (now.monotonicMs - this.#lastLookMs > standstillMs) this.heardAgain(now);
    this.#lastLookMs = now.monotonicMs;
    const filled: number[] = [];
    for (const [followId, feed] of this.#feeds) {
      if (feed.filled || feed.quietSinceMs === undefined) continue;
      const old = now.wallMs - feed.createdMs >= youngMs;
      // An empty one is one that nobody has begun to fill.
      const quiet = feed.stirred && now.monotonicMs - feed.quietSinceMs >= this.#filledAfterMs;
      if (!old && !quiet) continue;
      feed.filled = true;
      filled.push(followId);
    }
    return filled;
  }

  /** Nobody reads it any more. */
  closed(followId: number): void {
    this.#feeds.delete(followId);
  }
}
