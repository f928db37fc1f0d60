import { type Batch, type BatchLimits, nextBatch, type Pile } from "./batch.ts";
import { JobsKnowledge } from "./jobs-knowledge.ts";
import { LateOccurrences } from "./late-occurrences.ts";
import { aheadToleratedSeconds, type JobChange, type Watermark } from "./model.ts";
import { Timetable } from "./timetable.ts";

/** Something that was issued and moves the watermark once all of it is acknowledged. */
export interface Unit {
  /** The second that is complete with it; undefined for late occurrences. */
  readonly second: number | undefined;
  jobsSequence: number;
  published: number;
  unacknowledged: number;
  /** More of it is to be issued. */
  open: boolean;
}

export interface PartitionRunOptions {
  partition: number;
  epoch: number;
  /** What the owner before this one had published; undefined when nobody knows. */
  watermark: Watermark | undefined;
  nowSecond: number;
  leadSeconds: number;
  lookbackSeconds: number;
  limits: BatchLimits;
}

// A predecessor whose clock runs ahead, or that published on until it noticed
// its loss, may have come this far beyond its last watermark.
const predecessorAheadSeconds = 5;

/**
 * One owned partition: which occurrences are to be published next, and up to
 * where everything is acknowledged.
 *
 * Units are acknowledged in any order and complete in the order of issue:
 * publish, then advance.
 */
export class PartitionRun {
  readonly partition: number;
  readonly epoch: number;
  followId: number | undefined;
  /** Begins no further second; what is begun is finished. */
  releasing = false;
  #isLoaded = false;
  #watermarkNow: Watermark | undefined;
  #publishedNow = 0;
  readonly #timetable: Timetable;
  readonly #late = new LateOccurrences();
  #pile: { pile: Pile; unit: Unit } | undefined;
  #units: Unit[] = [];
  readonly #knowledge: JobsKnowledge;
  /** Timings that are inherited are published up to here. */
  #startSecond: number;
  #mayRepeatUntil: number;
  readonly #lookbackSeconds: number;
  readonly #limits: BatchLimits;

  constructor(options: PartitionRunOptions) {
    const { watermark, nowSecond, leadSeconds, lookbackSeconds } = options;
    this.partition = options.partition;
    this.epoch = options.epoch;
    this.#limits = options.limits;
    this.#lookbackSeconds = lookbackSeconds;
    this.#watermarkNow = watermark;
    this.#startSecond = watermark?.second ?? nowSecond - lookbackSeconds;
    this.#knowledge = new JobsKnowledge(watermark);
    this.#mayRepeatUntil = Math.max(nowSecond + leadSeconds, this.#startSecond + predecessorAheadSeconds);
    this.#timetable = new Timetable(this.#startSecond);
    this.rewindWhenAhead(nowSecond - 1, nowSecond + leadSeconds);
  }

  /** Undefined while nothing is known: no predecessor, and nothing published yet. */
  get watermark(): Watermark | undefined {
    return this.#watermarkNow;
  }

  /** Occurrences published for the watermark's second. */
  get published(): number {
    return this.#publishedNow;
  }

  /** The last second that was begun. */
  get horizon(): number {
    return this.#timetable.horizon;
  }

  get loaded(): boolean {
    return this.#isLoaded;
  }

  get jobs(): number {
    return this.#timetable.size;
  }

  /** Whether all that was begun is acknowledged. */
  get idle(): boolean {
    return this.#units.length === 0 && !this.#pile && this.#late.size === 0;
  }

  mayRepeat(second: number): boolean {
    return second <= this.#mayRepeatUntil;
  }

  /**
   * Takes a change of JOBS. Occurrences of a new timing up to the horizon are
   * late and go out at once; with the timing unchanged, only the entry is
   * replaced. Returns from where on late occurrences were not made up for, if any.
   */
  change(
    change: JobChange,
    sequence: number,
    nowMs = Number.POSITIVE_INFINITY,
  ): { droppedFromMs: number; untilMs: number } | undefined {
    const { jobId } = change;
    const known = this.#timetable.get(jobId);
    if (this.#knowledge.note(change, sequence, known)) return undefined;
    if (change.kind === "gone") {
      this.#knowledge.remember(jobId);
      this.#timetable.remove(jobId);
      return undefined;
    }
    if (known && known.timingGeneration === change.timingGeneration) {
      known.entry = change.entry;
      known.generation = change.generation;
      return undefined;
    }
    const { horizon } = this.#timetable;
    const owed = this.#knowledge.owed(change, this.#startSecond, horizon, this.#lookbackSeconds);
    this.#knowledge.remember(jobId);
    const boundMs = owed.afterSecond * 1000;
    let { effectiveFromMs } = change;
    // What stands in JOBS has taken effect: a clock that ran ahead said when.
    if (effectiveFromMs > nowMs + aheadToleratedSeconds * 1000) effectiveFromMs = owed.seen ? boundMs : nowMs;
    const slot = this.#timetable.put({ ...change, effectiveFromMs });
    this.#late.add(slot, Math.max(effectiveFromMs, boundMs), horizon);
    if (!owed.mayDrop || effectiveFromMs >= boundMs) return undefined;
    const dropped = slot.group.occurrences.nextAfter(Math.floor(effectiveFromMs / 1000));
    if (dropped === undefined || dropped * 1000 > boundMs) return undefined;
    return { droppedFromMs: effectiveFromMs, untilMs: boundMs };
  }

  /** JOBS is read from a stream that was made at this second. */
  opened(createdSecond: number): void {
    if (!this.#knowledge.opened(createdSecond, this.#watermarkNow)) this.#forgetSequences();
  }

  /** JOBS is another stream from here on, to be filled anew. */
  streamReplaced(): void {
    this.#knowledge.replaced(this.#timetable.jobIds());
    this.#mayRepeatUntil = Math.max(this.#mayRepeatUntil, this.#timetable.horizon);
    this.#forgetSequences();
  }

  /** JOBS holds all jobs. Returns how many others were taken out. */
  streamFilled(): number {
    const { horizon } = this.#timetable;
    // Up to where nothing waits to be issued, should a job come back after all.
    const waiting = Math.min(this.#pile?.pile.second ?? horizon + 1, this.#late.first() ?? horizon + 1);
    let count = 0;
    for (const jobId of this.#knowledge.streamFilled()) {
      const slot = this.#timetable.get(jobId);
      if (!slot) continue;
      this.#knowledge.forget(slot, waiting - 1);
      this.#timetable.remove(jobId);
      count++;
    }
    if (count > 0) this.#mayRepeatUntil = Math.max(this.#mayRepeatUntil, horizon);
    this.#knowledge.settle(horizon);
    this.#complete();
    return count;
  }

  /**
   * Begins again behind a second: what was published since was lost, or the clock
   * was set back. The occurrences keep their ids, so that those who got them know them.
   */
  rewind(second: number): void {
    const { horizon } = this.#timetable;
    if (second >= horizon) return;
    this.#timetable.rewind(second);
    this.#mayRepeatUntil = Math.max(this.#mayRepeatUntil, horizon);
    this.#startSecond = Math.min(this.#startSecond, second);
    // An earlier watermark is as true as a later one.
    if (this.#watermarkNow && this.#watermarkNow.second > second)
      this.#watermarkNow = { ...this.#watermarkNow, second };
    this.#publishedNow = 0;
    this.#units = this.#units.filter((unit) => (unit.second ?? second) <= second);
    if (this.#pile && this.#pile.pile.second > second) {
      this.#pile.unit.open = false;
      this.#pile = undefined;
    }
    this.#late.endAt(second);
    this.#complete();
  }

  /** Rewinds when the timetable lies too far ahead of what may be published to be waited for. */
  rewindWhenAhead(second: number, latestSecond: number): boolean {
    if (this.#timetable.horizon <= latestSecond + aheadToleratedSeconds) return false;
    this.rewind(second);
    this.#timetable.takeEffectAt(second, aheadToleratedSeconds);
    return true;
  }

  /**
   * The reader of JOBS has reached its end. Only here may the sequence that goes
   * with the watermark move: in between, the first event of a timing may have been
   * replaced in the stream by a later one that was not read yet.
   */
  reachedEnd(): void {
    this.#isLoaded = true;
    this.#knowledge.settle(this.#timetable.horizon);
    this.#complete();
  }

  /** The second of what is to be issued next; undefined when everything up to the target is. */
  nextSecond(target: number): number | undefined {
    // Before the replay is complete the watermark would pass jobs that are not here yet.
    if (!this.#isLoaded) return undefined;
    if (this.#pile) return this.#pile.pile.second;
    const late = this.#late.first();
    if (late !== undefined) return late;
    if (this.releasing) return undefined;
    const next = this.#timetable.nextSecond();
    return next !== undefined && next <= target ? next : undefined;
  }

  /** Issues the next batch; undefined when what was due turned out to be gone. */
  issue(): { batch: Batch; unit: Unit } | undefined {
    this.#pile ??= this.#nextPile();
    if (!this.#pile) return undefined;
    const { pile, unit } = this.#pile;
    const batch = nextBatch(pile, this.#limits);
    if (batch) {
      unit.unacknowledged++;
      unit.published += batch.entries.length;
    }
    if (pile.position < pile.slots.length) return batch && { batch, unit };
    this.#pile = undefined;
    unit.open = false;
    if (!batch) this.#complete();
    return batch && { batch, unit };
  }

  /** Declares the seconds up to the target done in which nothing is due. */
  skipTo(target: number): void {
    if (!this.#isLoaded || this.releasing || target <= this.#timetable.horizon) return;
    if (this.nextSecond(target) !== undefined) return;
    this.#timetable.skipTo(target);
    this.#units.push(this.#unit(target, false));
    this.#complete();
  }

  acknowledge(unit: Unit): void {
    unit.unacknowledged--;
    this.#complete();
  }

  #nextPile(): { pile: Pile; unit: Unit } | undefined {
    const late = this.#late.take();
    if (late) {
      const unit = this.#unit(undefined, true);
      this.#units.push(unit);
      return { pile: { ...late, position: 0 }, unit };
    }
    const due = this.#timetable.take();
    if (!due) return undefined;
    const unit = this.#unit(due.second, true);
    this.#units.push(unit);
    return { pile: { ...due, position: 0 }, unit };
  }

  #unit(second: number | undefined, open: boolean): Unit {
    return { second, jobsSequence: this.#knowledge.settled, published: 0, unacknowledged: 0, open };
  }

  /** Those of another stream mean nothing in this one. */
  #forgetSequences(): void {
    for (const unit of this.#units) unit.jobsSequence = 0;
    if (this.#watermarkNow) this.#watermarkNow = { ...this.#watermarkNow, jobsSequence: 0 };
  }

  #complete(): void {
    let done = 0;
    for (const unit of this.#units) {
      if (unit.open || unit.unacknowledged > 0) break;
      done++;
      if (unit.second === undefined) continue;
      this.#watermarkNow = { second: unit.second, jobsSequence: unit.jobsSequence };
      this.#publishedNow = unit.published;
    }
    this.#units.splice(0, done);
    // Nothing is under way: the changes read so far are in it as well.
    if (this.#isLoaded && this.idle) {
      const second = this.#timetable.horizon;
      if (this.#watermarkNow?.second !== second) this.#publishedNow = 0;
      this.#watermarkNow = { second, jobsSequence: this.#knowledge.settled };
    }
  }
}
