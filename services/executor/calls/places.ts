import type { Origin, Standing, Width } from "./origin.ts";
import type { Queueable } from "./queueable.ts";

/**
 * The calls that may be in flight, and whose they may be. Of all places,
 * - the last eighth is for origins that have few calls in flight, and the last sixteenth for those that have none, and
 *   for probes;
 * - origins that hang or fell silent get no more than half. One that hangs has a
 *   call in flight to see whether it answers, a few where a quarter is not used up. Probes go beyond that, by a sixteenth;
 * - origins that fail have of this process only the time that the others leave, and few connections where they refuse;
 * - origins that never answered get a quarter at most, and half of what the
 *   hanging ones have left: there is always something for one that nobody knows.
 *   One call each once a quarter of that is in use.
 *
 * Pure.
 */
export class Places {
  readonly #all: number;
  readonly #width: Width;
  /** Calls in flight by the standing of their origin. */
  readonly #takenBy: Record<Standing, number> = { unproven: 0, answering: 0, failing: 0, silent: 0, hanging: 0 };
  #taken = 0;

  constructor({ maxInFlight, width }: { maxInFlight: number; width: Width }) {
    this.#all = maxInFlight;
    this.#width = width;
  }

  taken(): number {
    return this.#taken;
  }

  areFree(): boolean {
    return this.#taken < this.#all;
  }

  areHalfTaken(): boolean {
    return this.#taken * 2 >= this.#all;
  }

  areNearlyTaken(): boolean {
    return this.#taken * 8 >= this.#all * 7;
  }

  take(standing: Standing): void {
    this.#taken++;
    this.#takenBy[standing]++;
  }

  give(standing: Standing): void {
    this.#taken--;
    this.#takenBy[standing]--;
  }

  /** The standing of an origin is another one, also that of its calls in flight. */
  restand(origin: Origin<Queueable>, standing: Standing): void {
    this.#takenBy[origin.standing] -= origin.active;
    this.#takenBy[standing] += origin.active;
    origin.standing = standing;
  }

  /** Whether an origin may have a call beyond its room. The very last places are for origins that nobody knows. */
  mayProbe(): boolean {
    return this.#taken * 64 < this.#all * 63;
  }

  /** `spare`: whether there is time for a call that is likely to fail. */
  hasRoom(origin: Origin<Queueable>, spare: boolean): boolean {
    const { active } = origin;
    const { least, base } = this.#width;
    if (this.areNearlyTaken() && active >= (this.#taken * 16 < this.#all * 15 ? least : 1)) return false;
    const { unproven } = this.#takenBy;
    const lost = this.#takenBy.silent + this.#takenBy.hanging;
    switch (origin.standing) {
      case "answering":
        return active < origin.width;
      case "failing":
        return spare && active < origin.width;
      case "silent":
        return active < origin.width && lost < this.#all / 2;
      case "unproven": {
        const left = ((this.#all * 7) / 8 - lost) / 2;
        const places = Math.min(this.#all / 4, Math.max(left, this.#all / 64));
        return unproven < places && active < (unproven * 4 < places ? base : 1);
      }
      case "hanging":
        return lost < this.#all / 2 && active < (lost < this.#all / 4 ? least : 1);
    }
  }
}
