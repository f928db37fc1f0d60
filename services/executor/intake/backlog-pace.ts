import { isSecondStart } from "../second-start.ts";

// Attempts a millisecond: to take one in and to move it costs some 10 µs.
const atSecondStart = 10;
const otherwise = 60;
// However late it is asked: what has gathered comes at once, and holds up the calls of others for as long.
const longestGatherMs = 20;

/**
 * How fast a backlog is taken in: as fast as this process can, but for the start of each second, when it leaves the time to
 * what is due then. Pure.
 */
export class BacklogPace {
  /** Below nothing when a message had more than there was time for. */
  #left = 0;
  #askedMs = Number.NEGATIVE_INFINITY;

  /** Whether there is time for more. `nowMs` is monotonic. */
  allows(nowMs: number, wallMs: number): boolean {
    const aMs = isSecondStart(wallMs) ? atSecondStart : otherwise;
    this.#left = Math.min(this.#left + (nowMs - this.#askedMs) * aMs, longestGatherMs * aMs);
    this.#askedMs = nowMs;
    return this.#left > 0;
  }

  /** So many attempts of the backlog came. */
  took(attempts: number): void {
    this.#left -= attempts;
  }
}
