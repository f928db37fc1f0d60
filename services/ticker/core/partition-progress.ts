import type { Watermark } from "../../wire/watermark.ts";

/**
 * What was issued together, and how much of it is not acknowledged yet: the
 * occurrences of a second, late occurrences, or seconds in which nothing was due.
 */
export interface Tally {
  /** The watermark moves here; undefined for late occurrences, which only hold it back. */
  readonly second: number | undefined;
  /** Goes with the watermark. */
  jobsSequence: number;
  /** Occurrences. */
  published: number;
  /** Batches. */
  unacknowledged: number;
  /** More of it is to be issued. */
  open: boolean;
}

// An owner may go on for so long before it notices that JOBS was replaced. Until
// then its watermarks name sequences of the old stream.
const unawareSeconds = 60;

/**
 * Up to where a partition is published. Acknowledgements come in any order; the
 * watermark passes the tallies in the order in which they were begun, each when
 * all of it is acknowledged: publish, then advance.
 */
export class PartitionProgress {
  #watermark: Watermark | undefined;
  #published = 0;
  #tallies: Tally[] = [];

  constructor(watermark: Watermark | undefined) {
    this.#watermark = watermark;
  }

  /** Undefined while nothing is known: no predecessor, and nothing published yet. */
  get watermark(): Watermark | undefined {
    return this.#watermark;
  }

  /** Occurrences published for the watermark's second. */
  get published(): number {
    return this.#published;
  }

  /** Whether all that was begun is issued and acknowledged. */
  get idle(): boolean {
    return this.#tallies.length === 0;
  }

  /** Begins a tally behind all others. The watermark stops before it until it is closed and acknowledged. */
  begin(second: number | undefined, jobsSequence: number): Tally {
    const tally = { second, jobsSequence, published: 0, unacknowledged: 0, open: true };
    this.#tallies.push(tally);
    return tally;
  }

  /** A batch went out. */
  issued(tally: Tally, occurrences: number): void {
    tally.unacknowledged++;
    tally.published += occurrences;
  }

  /** Nothing more comes of it. */
  close(tally: Tally): void {
    tally.open = false;
  }

  /** One batch of it is stored. The watermark moves with the next `advance`. */
  acknowledged(tally: Tally): void {
    tally.unacknowledged--;
  }

  /** Moves the watermark over all that is complete. */
  advance(): void {
    let done = 0;
    for (const tally of this.#tallies) {
      if (tally.open || tally.unacknowledged > 0) break;
      done++;
      if (tally.second === undefined) continue;
      this.#watermark = { second: tally.second, jobsSequence: tally.jobsSequence };
      this.#published = tally.published;
    }
    this.#tallies.splice(0, done);
  }

  /**
   * Everything up to this second was issued, under the timings up to this sequence.
   * Moves the watermark there, unless something is not acknowledged yet.
   */
  rest(second: number, jobsSequence: number): void {
    if (!this.idle) return;
    if (this.#watermark?.second !== second) this.#published = 0;
    this.#watermark = { second, jobsSequence };
  }

  /** Takes the watermark back to a second, since what comes after it is issued again. An earlier watermark is as true as a later one. */
  rewind(second: number): void {
    if (this.#watermark && this.#watermark.second > second) this.#watermark = { ...this.#watermark, second };
    this.#published = 0;
    this.#tallies = this.#tallies.filter((tally) => (tally.second ?? second) <= second);
  }

  /** Whether the watermark's sequence means something in a JOBS that was made at this second. */
  sequenceHolds(createdSecond: number): boolean {
    return !this.#watermark || this.#watermark.second >= createdSecond + unawareSeconds;
  }

  /** JOBS is another stream: the sequences of the old one mean nothing in it. */
  forgetSequences(): void {
    for (const tally of this.#tallies) tally.jobsSequence = 0;
    if (this.#watermark) this.#watermark = { ...this.#watermark, jobsSequence: 0 };
  }
}
