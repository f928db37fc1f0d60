import type { Now } from "./now.ts";

// A tick goes out when its second is complete. When that takes longer than this,
// a tick goes out all the same, as a sign of life.
const longestSilenceMs = 1_250;
// The next tick is due only a while after the last one. A tick that is acknowledged
// is good for so much longer than the span that is allowed for an answer.
const cadenceMs = 1_000;

/**
 * When the own ticks go out, and whether they are good enough that the others
 * still take this ticker for alive. One tick is under way at a time, so that they
 * are stored in order.
 */
export class Heartbeat {
  readonly #fenceAfterMs: number;
  #underWay: { id: number; sentMs: number } | undefined;
  #lastSentMs = Number.NEGATIVE_INFINITY;
  #lastConfirmedMs = 0;
  #lastSecond = Number.NEGATIVE_INFINITY;
  #isFenced = false;
  #isUrgent = false;

  constructor(fenceAfterMs: number) {
    this.#fenceAfterMs = fenceAfterMs;
  }

  /** Whether a tick was ever sent. Before that nobody counts on this ticker. */
  get begun(): boolean {
    return this.#lastSentMs > Number.NEGATIVE_INFINITY;
  }

  /** Whether nothing may be published, since others may have taken over. */
  get fenced(): boolean {
    return this.#isFenced;
  }

  /** Whether a tick is to be sent for this second. `complete`: all of the second is published. */
  due(now: Now, second: number, complete: boolean): boolean {
    if (this.#underWay) return false;
    if (this.#isUrgent || !this.begun) return true;
    if (complete && second > this.#lastSecond) return true;
    return now.monotonicMs - this.#lastSentMs >= longestSilenceMs;
  }

  /** The next tick should not wait for the next second. */
  urgent(): void {
    this.#isUrgent = true;
  }

  sent(now: Now, id: number, second: number): void {
    if (!this.begun) this.#lastConfirmedMs = now.monotonicMs;
    this.#underWay = { id, sentMs: now.monotonicMs };
    this.#lastSentMs = now.monotonicMs;
    this.#isUrgent = false;
    // Also when it is an earlier one than before: the wall clock may have been set back.
    this.#lastSecond = second;
  }

  /** The broker's answer. */
  answered(id: number, stored: boolean): void {
    if (this.#underWay?.id !== id) return;
    if (stored) this.#lastConfirmedMs = this.#underWay.sentMs;
    this.#underWay = undefined;
  }

  /** Whether the last acknowledged tick is recent enough. What counts is when it was sent, not when the answer came. */
  trusted(now: Now): boolean {
    if (!this.begun) return true;
    if (this.#underWay && now.monotonicMs - this.#underWay.sentMs > this.#fenceAfterMs) return false;
    return now.monotonicMs - this.#lastConfirmedMs <= this.#fenceAfterMs + cadenceMs;
  }

  fence(): void {
    this.#isFenced = true;
  }

  /** The own claims were read again and still stand. */
  lift(now: Now): void {
    if (this.trusted(now)) this.#isFenced = false;
  }
}
