import type { JobChange, Watermark } from "./model.ts";
import type { Slot } from "./timetable.ts";

type ActiveChange = Extract<JobChange, { kind: "active" }>;

/** From where on a timing's occurrences are owed. */
export interface Owed {
  afterSecond: number;
  /** All of it up to there is published. */
  seen: boolean;
  /** What came before is not known to be published. */
  mayDrop: boolean;
}

interface Forgotten {
  timingGeneration: number;
  untilSecond: number;
}

// An owner that did not know yet that JOBS is another stream may have named a
// sequence of the old one until so long after the new one was made.
const unawareSeconds = 60;
// The sequence by which the registry says that a timing was in an earlier stream.
const longSettled = 1;
// After that a job that was forgotten does not come back.
const forgottenKeptSeconds = 600;

/**
 * What a partition knows from which stream of jobs. Sequences mean something
 * within one stream only; JOBS becomes another one when it is deleted or the
 * broker's disk is lost, and the registry fills that one bit by bit.
 */
export class JobsKnowledge {
  /** Timings up to this sequence are published up to the run's start already. */
  #inheritedSequence: number;
  #appliedSequence = 0;
  #settledSequence = 0;
  /** The stream holds all jobs. */
  #filled = true;
  /** Jobs that the stream which replaced another has not brought yet. */
  #unconfirmed: Set<string> | undefined;
  /** Jobs that it did not bring, should they come after all. */
  readonly #forgotten = new Map<string, Forgotten>();
  #forgottenAtSecond = 0;

  constructor(watermark: Watermark | undefined) {
    this.#inheritedSequence = watermark?.jobsSequence ?? Number.POSITIVE_INFINITY;
  }

  /** The sequence that may go with a watermark. */
  get settled(): number {
    return this.#settledSequence;
  }

  /**
   * The stream that is read was made at this second. Tells whether the sequence
   * of the watermark means something in it; where not, no timing counts as seen.
   */
  opened(createdSecond: number, watermark: Watermark | undefined): boolean {
    this.#filled = false;
    if (!watermark || watermark.second >= createdSecond + unawareSeconds) return true;
    this.#inheritedSequence = 0;
    return false;
  }

  /**
   * Another stream is read from here on. The jobs stay until it is filled; what it
   * brings and is not among them was never published by this run.
   */
  replaced(jobIds: Iterable<string>): void {
    this.#filled = false;
    this.#unconfirmed = new Set(jobIds);
    this.#appliedSequence = 0;
    this.#settledSequence = 0;
    this.#inheritedSequence = 0;
  }

  /** Takes note of a change; tells whether it is an older state than the one that is known. */
  note(change: JobChange, sequence: number, known: Slot | undefined): boolean {
    this.#appliedSequence = Math.max(this.#appliedSequence, sequence);
    const replayed = this.#unconfirmed?.delete(change.jobId) === true;
    // A broker that was set back has such; the registry publishes the last ones again.
    return replayed && known !== undefined && change.kind === "active" && change.generation < known.generation;
  }

  /** From where on a timing is owed that is not in the timetable. */
  owed(change: ActiveChange, startSecond: number, horizon: number, lookbackSeconds: number): Owed {
    const forgotten = this.#forgotten.get(change.jobId);
    if (forgotten?.timingGeneration === change.timingGeneration) {
      return { afterSecond: Math.min(forgotten.untilSecond, horizon), seen: true, mayDrop: false };
    }
    if (change.timingSequence <= this.#inheritedSequence)
      return { afterSecond: startSecond, seen: true, mayDrop: false };
    // A rebuilt JOBS makes old timings look new: they are not owed since the beginning.
    const mayDrop = change.timingSequence !== longSettled;
    return { afterSecond: horizon - lookbackSeconds, seen: false, mayDrop };
  }

  /** It came, or is gone for good. */
  remember(jobId: string): void {
    this.#forgotten.delete(jobId);
  }

  /** The stream holds all jobs: those that it did not bring are to be forgotten. */
  streamFilled(): Iterable<string> {
    this.#filled = true;
    const missing = this.#unconfirmed ?? [];
    this.#unconfirmed = undefined;
    return missing;
  }

  /** A job is taken out whose occurrences are issued up to a second. */
  forget(slot: Slot, untilSecond: number): void {
    this.#forgotten.set(slot.jobId, { timingGeneration: slot.timingGeneration, untilSecond });
    this.#forgottenAtSecond = untilSecond;
  }

  /**
   * The reader has reached the end. To the next owner the sequence says that each
   * timing before it was published: it moves only when no job may be missing.
   */
  settle(horizon: number): void {
    if (!this.#filled) return;
    if (this.#forgotten.size > 0) {
      if (horizon < this.#forgottenAtSecond + forgottenKeptSeconds) return;
      this.#forgotten.clear();
    }
    this.#settledSequence = this.#appliedSequence;
  }
}
