// In calls a millisecond.
const least = 0.1;
const most = 25;
const first = 6;
const step = 0.4;
const cut = 0.75;
// What a burst of the others takes is made up for by a pause of so long at most.
const longestPauseMs = 100;
// However late it is refilled: what has gathered goes out at once, and holds up the others for as long.
const longestGatherMs = 20;
const busyAbove = 0.8;
const idleBelow = 0.7;
const smoothing = 0.25;

/**
 * How many calls this process has time for beside those to targets that answer. All calls take from it, but only
 * targets that fail have to ask: whoever has thousands of failing calls a second is served when the others are.
 * It grows while the process is idle and shrinks fast when it is busy; a hundred calls a second are there whatever the others take. Pure.
 */
export class SpareCalls {
  #aMs = first;
  /** Below nothing when the others took more than there was. */
  #left = 1;
  #assured = 1;
  #load = 0;
  #refilledMs = 0;

  /** Whether there is time for one. */
  any(): boolean {
    return this.#left > 0 || this.#assured >= 1;
  }

  /** A call is made; `spare`: to a target that had to ask. */
  take(spare: boolean): void {
    if (spare && this.#left <= 0) this.#assured--;
    else this.#left--;
  }

  /** Called some hundred times a second. Monotonic. */
  refill(nowMs: number): void {
    const spanMs = nowMs - this.#refilledMs;
    const owed = Math.max(this.#left, -longestPauseMs * this.#aMs);
    this.#left = Math.min(owed + spanMs * this.#aMs, Math.max(1, longestGatherMs * this.#aMs));
    this.#assured = Math.min(this.#assured + spanMs * least, 1 + longestGatherMs * least);
    this.#refilledMs = nowMs;
  }

  /** Called four times a second. `load`: how busy this process was since, 0 to 1. */
  adapt(load: number): void {
    this.#load += (load - this.#load) * smoothing;
    if (this.#load > busyAbove) this.#aMs = Math.max(least, this.#aMs * cut);
    else if (this.#load < idleBelow) this.#aMs = Math.min(most, this.#aMs + step);
  }
}
