import type { Watermark } from "../../wire/watermark.ts";
import type { EarlierTiming, JobChange } from "./job-change.ts";
import type { EndedTiming, Owed } from "./partition-agenda.ts";
import { aheadToleratedSeconds } from "./ticker-settings.ts";
import type { Slot } from "./timetable.ts";

type ActiveChange = Extract<JobChange, { kind: "active" }>;

/** What a timing that comes to a partition owes, and those before it. */
export interface Debt {
  /** Occurrences after this instant are due. */
  effectiveFromMs: number;
  owed: Owed;
  /** The span whose occurrences are owed but given up, because it lies too far back. */
  dropped: { fromMs: number; untilMs: number } | undefined;
}

/** What was not published of a timing. */
interface Unpublished {
  afterSecond: number;
  /** Somebody is known to have published it up to there. */
  published: boolean;
  /** What lies before is given up, and owed. */
  mayDrop: boolean;
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

  /** What a timing owes when it comes into the timetable now, in place of a slot if there is one. */
  of(change: ActiveChange, known: Slot | undefined, horizon: number, nowMs: number): Debt {
    const { afterSecond, published, mayDrop } = this.#owed(change, horizon);
    const boundMs = afterSecond * 1000;
    let { effectiveFromMs } = change;
    // A timing that JOBS carries has taken effect. If it says that it will do so far ahead, a clock ran ahead.
    if (effectiveFromMs > nowMs + aheadToleratedSeconds * 1000) effectiveFromMs = published ? boundMs : nowMs;
    let dropped = mayDrop ? dueBetween(change.occurrences, effectiveFromMs, boundMs) : undefined;
    const ended: EndedTiming[] = [];
    for (const { timingGeneration, timingSequence, ...timing } of change.earlier) {
      // What is late of those before the slot's own timing waits as it did before.
      if (known && timingGeneration < known.timingGeneration) continue;
      const earlier = { jobId: change.jobId, timingGeneration, timingSequence };
      const { afterSecond: after, mayDrop: drops } = this.#owedOfEarlier(earlier, known, horizon);
      const { occurrences, effectiveFromMs: fromMs, untilMs } = timing;
      if (drops) dropped = dueBetween(occurrences, fromMs, Math.min(untilMs, after * 1000)) ?? dropped;
      ended.push({ occurrences, effectiveFromMs: fromMs, untilMs, owedAfterMs: Math.max(fromMs, after * 1000) });
    }
    const afterMs = Math.max(effectiveFromMs, boundMs);
    return { effectiveFromMs, owed: { afterMs, ended, untilMs: known && owedUntil(change, known) }, dropped };
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

  #owed(change: ActiveChange, horizon: number): Unpublished {
    const forgotten = this.#forgotten.get(change.jobId);
    if (forgotten?.timingGeneration === change.timingGeneration)
      return { afterSecond: Math.min(forgotten.untilSecond, horizon), published: true, mayDrop: false };
    return this.#owedSince(change.timingSequence, horizon);
  }

  #owedOfEarlier(
    {
      jobId,
      timingGeneration,
      timingSequence,
    }: Pick<EarlierTiming, "timingGeneration" | "timingSequence"> & { jobId: string },
    known: Slot | undefined,
    horizon: number,
  ): Unpublished {
    if (timingGeneration === known?.timingGeneration) return { afterSecond: horizon, published: true, mayDrop: false };
    const forgotten = this.#forgotten.get(jobId);
    if (forgotten && timingGeneration <= forgotten.timingGeneration)
      return { afterSecond: Math.min(forgotten.untilSecond, horizon), published: true, mayDrop: false };
    return this.#owedSince(timingSequence, horizon);
  }

  #owedSince(timingSequence: number, horizon: number): Unpublished {
    if (timingSequence <= this.#inheritedSequence) {
      const published = this.#inheritedSequence !== Number.POSITIVE_INFINITY;
      return { afterSecond: this.#inheritedSecond, published, mayDrop: false };
    }
    // An earlier stream carried this timing, and its occurrences were published then: none counts as dropped.
    const mayDrop = timingSequence !== earlierStreamSequence;
    return { afterSecond: horizon - this.#lookbackSeconds, published: false, mayDrop };
  }
}

/** Up to where what is late of a slot stays owed once another one stands in its place. */
function owedUntil({ earlier, effectiveFromMs, pausedGeneration }: ActiveChange, { timingGeneration }: Slot) {
  // A pause that nobody here has heard of ended it.
  if (pausedGeneration > timingGeneration) return undefined;
  const own = earlier.find((timing) => timing.timingGeneration >= timingGeneration);
  if (own?.timingGeneration === timingGeneration) return own.untilMs;
  // It is left out where it had no time to be due itself. Those before it may still owe, up to where the next began.
  return own?.effectiveFromMs ?? effectiveFromMs;
}

function dueBetween(occurrences: ActiveChange["occurrences"], fromMs: number, untilMs: number): Debt["dropped"] {
  const first = occurrences.nextAfter(Math.floor(fromMs / 1000));
  return first !== undefined && first * 1000 <= untilMs ? { fromMs, untilMs } : undefined;
}
