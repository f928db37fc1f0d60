import type { Watermark } from "../../wire/watermark.ts";
import type { JobChange } from "./job-change.ts";
import { aheadToleratedSeconds } from "./ticker-settings.ts";

type ActiveChange = Extract<JobChange, { kind: "active" }>;

/** What a timing that comes to a partition owes. */
export interface Debt {
  /** Occurrences after this instant are due. */
  effectiveFromMs: number;
  /** Occurrences after this instant were not published under this timing. */
  owedAfterMs: number;
  /** The span whose occurrences are owed but given up, because it lies too far back. */
  dropped: { fromMs: number; untilMs: number } | undefined;
}

interface Forgotten {
  timingGeneration: number;
  untilSecond: number;
}

// The sequence by which the registry says that a timing was in an earlier stream.
const earlierStreamSequence = 1;
// A job that was forgotten for longer does not come back.
const forgottenKeptSeconds = 600;

/** From where on a timing's occurrences are owed: what its owners had published, of which timings. */
export class TimingDebt {
  /** Each timing up to this sequence is published up to `#inheritedSecond`; infinite where none is known to be. */
  #inheritedSequence: number;
  #inheritedSecond: number;
  readonly #lookbackSeconds: number;
  /** Jobs that a new JOBS did not bring, should they come after all. */
  readonly #forgotten = new Map<string, Forgotten>();
  #forgottenAtSecond = 0;

  /** Without a watermark nobody knows what was published: each timing is owed since `startSecond`. */
  constructor(watermark: Watermark | undefined, startSecond: number, lookbackSeconds: number) {
    this.#inheritedSequence = watermark?.jobsSequence ?? Number.POSITIVE_INFINITY;
    this.#inheritedSecond = startSecond;
    this.#lookbackSeconds = lookbackSeconds;
  }

  /** JOBS is another stream: no sequence in it says that a timing was published. */
  forgetSequences(): void {
    this.#inheritedSequence = 0;
  }

  /** What comes after a second is published again. */
  rewind(second: number): void {
    this.#inheritedSecond = Math.min(this.#inheritedSecond, second);
  }

  /** What a timing owes when it comes into the timetable now. */
  of(change: ActiveChange, horizon: number, nowMs: number): Debt {
    const { afterSecond, published, mayDrop } = this.#owed(change, horizon);
    const boundMs = afterSecond * 1000;
    let { effectiveFromMs } = change;
    // A timing that JOBS carries has taken effect. If it says that it will do so far ahead, a clock ran ahead.
    if (effectiveFromMs > nowMs + aheadToleratedSeconds * 1000) effectiveFromMs = published ? boundMs : nowMs;
    const drops = mayDrop && effectiveFromMs < boundMs && isDueBetween(change.occurrences, effectiveFromMs, boundMs);
    return {
      effectiveFromMs,
      owedAfterMs: Math.max(effectiveFromMs, boundMs),
      dropped: drops ? { fromMs: effectiveFromMs, untilMs: boundMs } : undefined,
    };
  }

  /** A job is forgotten; its occurrences are issued up to a second. */
  forget(jobId: string, timingGeneration: number, untilSecond: number): void {
    this.#forgotten.set(jobId, { timingGeneration, untilSecond });
    this.#forgottenAtSecond = untilSecond;
  }

  /** A forgotten job came after all, or is gone for good. */
  remember(jobId: string): void {
    this.#forgotten.delete(jobId);
  }

  /** Whether a forgotten job may still come. Drops those that were forgotten long ago. */
  expectsForgotten(horizon: number): boolean {
    if (this.#forgotten.size > 0 && horizon >= this.#forgottenAtSecond + forgottenKeptSeconds) this.#forgotten.clear();
    return this.#forgotten.size > 0;
  }

  #owed(change: ActiveChange, horizon: number): { afterSecond: number; published: boolean; mayDrop: boolean } {
    const forgotten = this.#forgotten.get(change.jobId);
    if (forgotten?.timingGeneration === change.timingGeneration)
      return { afterSecond: Math.min(forgotten.untilSecond, horizon), published: true, mayDrop: false };
    if (change.timingSequence <= this.#inheritedSequence) {
      const published = this.#inheritedSequence !== Number.POSITIVE_INFINITY;
      return { afterSecond: this.#inheritedSecond, published, mayDrop: false };
    }
    // An earlier stream carried this timing, and its occurrences were published then: none counts as dropped.
    const mayDrop = change.timingSequence !== earlierStreamSequence;
    return { afterSecond: horizon - this.#lookbackSeconds, published: false, mayDrop };
  }
}

function isDueBetween(occurrences: ActiveChange["occurrences"], afterMs: number, untilMs: number): boolean {
  const first = occurrences.nextAfter(Math.floor(afterMs / 1000));
  return first !== undefined && first * 1000 <= untilMs;
}
