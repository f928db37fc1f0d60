import type { Now } from "./now.ts";

interface Watched {
  createdMs: number;
  filled: boolean;
  /** Something came from the stream. */
  begun: boolean;
  /** Since when the reader has been at the end and has found nothing new, monotonic; undefined when it is not there. */
  quietSinceMs: number | undefined;
}

// A stream that is older was filled long ago: a million jobs take six minutes.
const youngMs = 10 * 60_000;

// Four times the interval at which the clock is looked at.
const standstillMs = 1_000;

/**
 * Whether the streams of jobs that are read hold all jobs yet. The registry fills
 * a new stream bit by bit, and a reader reaches its end many times meanwhile. A
 * stream is taken for filled when it is old, or when nothing has come for a while.
 */
export class FillWatch {
  readonly #filledAfterMs: number;
  readonly #watched = new Map<number, Watched>();
  #lastLookMs = 0;

  constructor(filledAfterMs: number) {
    this.#filledAfterMs = filledAfterMs;
  }

  /** Tells whether the stream replaces another one that was read under this id. */
  opened(followId: number, createdMs: number): boolean {
    const replaced = this.#watched.has(followId);
    this.#watched.set(followId, { createdMs, filled: false, begun: false, quietSinceMs: undefined });
    return replaced;
  }

  /** Something came. */
  changed(followId: number): void {
    const stream = this.#watched.get(followId);
    if (!stream || stream.filled) return;
    stream.begun = true;
    stream.quietSinceMs = undefined;
  }

  reachedEnd(now: Now, followId: number): void {
    const stream = this.#watched.get(followId);
    if (stream) stream.quietSinceMs ??= now.monotonicMs;
  }

  /** Nothing could be heard up to now: silence counts from here. */
  restartSilence(now: Now): void {
    for (const stream of this.#watched.values())
      if (stream.quietSinceMs !== undefined) stream.quietSinceMs = now.monotonicMs;
  }

  /** Returns the streams that are filled by now, each once. */
  takeFilled(now: Now): number[] {
    // The process stood still: what came meanwhile is still to be read.
    if (now.monotonicMs - this.#lastLookMs > standstillMs) this.restartSilence(now);
    this.#lastLookMs = now.monotonicMs;
    const filled: number[] = [];
    for (const [followId, stream] of this.#watched) {
      if (stream.filled || stream.quietSinceMs === undefined) continue;
      const old = now.wallMs - stream.createdMs >= youngMs;
      // Nobody has begun to fill an empty one.
      const quiet = stream.begun && now.monotonicMs - stream.quietSinceMs >= this.#filledAfterMs;
      if (!old && !quiet) continue;
      stream.filled = true;
      filled.push(followId);
    }
    return filled;
  }

  /** Nobody reads it any more. */
  closed(followId: number): void {
    this.#watched.delete(followId);
  }
}
