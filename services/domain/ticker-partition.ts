import { type Batch, type BatchLimits, nextBatch, type Pile } from "./batching.ts";
import type { JobChange, Watermark } from "./ticker-model.ts";
import { type Slot, Timetable } from "./timetable.ts";
import { SecondQueue } from "./timetable-seconds.ts";

/** Something that was issued and moves the watermark once all of it is acknowledged. */
export interface Unit {
  /** The second that is complete with it; undefined for late occurrences. */
  readonly second: number | undefined;
  readonly jobsSequence: number;
  published: number;
  unacknowledged: number;
  /** More of it is to be issued. */
  open: boolean;
}

/** A job whose occurrences up to the horizon are still to be published. */
interface LateJob {
  slot: Slot;
  untilSecond: number;
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
  private isLoaded = false;
  private watermarkNow: Watermark | undefined;
  private publishedNow = 0;
  private readonly timetable: Timetable;
  private readonly late = new SecondQueue<LateJob>();
  private pile: { pile: Pile; unit: Unit } | undefined;
  private readonly units: Unit[] = [];
  private appliedSequence = 0;
  private settledSequence = 0;
  /** Timings up to this sequence are published up to `startSecond` already. */
  private readonly inheritedSequence: number;
  private readonly startSecond: number;
  private readonly mayRepeatUntil: number;
  private readonly lookbackSeconds: number;
  private readonly limits: BatchLimits;

  constructor(options: PartitionRunOptions) {
    const { watermark, nowSecond, leadSeconds, lookbackSeconds } = options;
    this.partition = options.partition;
    this.epoch = options.epoch;
    this.limits = options.limits;
    this.lookbackSeconds = lookbackSeconds;
    this.watermarkNow = watermark;
    this.startSecond = watermark?.second ?? nowSecond - lookbackSeconds;
    this.inheritedSequence = watermark?.jobsSequence ?? Number.POSITIVE_INFINITY;
    this.mayRepeatUntil = Math.max(nowSecond + leadSeconds, this.startSecond + predecessorAheadSeconds);
    this.timetable = new Timetable(this.startSecond);
  }

  /** Undefined while nothing is known: no predecessor, and nothing published yet. */
  get watermark(): Watermark | undefined {
    return this.watermarkNow;
  }

  /** Occurrences published for the watermark's second. */
  get published(): number {
    return this.publishedNow;
  }

  get loaded(): boolean {
    return this.isLoaded;
  }

  get jobs(): number {
    return this.timetable.size;
  }

  /** Whether all that was begun is acknowledged. */
  get idle(): boolean {
    return this.units.length === 0 && !this.pile && this.late.size === 0;
  }

  mayRepeat(second: number): boolean {
    return second <= this.mayRepeatUntil;
  }

  /**
   * Takes a change of JOBS. Occurrences of a new timing up to the horizon are
   * late and go out at once; with the timing unchanged, only the entry is
   * replaced. Returns from where on late occurrences were not made up for, if any.
   */
  change(change: JobChange, sequence: number): { droppedFromMs: number; untilMs: number } | undefined {
    this.appliedSequence = Math.max(this.appliedSequence, sequence);
    if (change.kind === "gone") {
      this.timetable.remove(change.jobId);
      return undefined;
    }
    const known = this.timetable.get(change.jobId);
    if (known && known.timingGeneration === change.timingGeneration) {
      known.entry = change.entry;
      known.generation = change.generation;
      return undefined;
    }
    const slot = this.timetable.put(change);
    const horizon = this.timetable.horizon;
    const seen = change.timingSequence <= this.inheritedSequence;
    // A rebuilt JOBS makes old timings look new: they are not owed since the beginning.
    const boundMs = (seen ? this.startSecond : horizon - this.lookbackSeconds) * 1000;
    const fromMs = Math.max(change.effectiveFromMs, boundMs);
    const { occurrences } = slot.group;
    const first = occurrences.nextAfter(Math.floor(fromMs / 1000));
    if (first !== undefined && first <= horizon) this.late.add(first, { slot, untilSecond: horizon });
    if (seen || change.effectiveFromMs >= boundMs) return undefined;
    const dropped = occurrences.nextAfter(Math.floor(change.effectiveFromMs / 1000));
    if (dropped === undefined || dropped * 1000 > boundMs) return undefined;
    return { droppedFromMs: change.effectiveFromMs, untilMs: boundMs };
  }

  /**
   * The reader of JOBS has reached its end. Only here may the sequence that goes
   * with the watermark move: in between, the first event of a timing may have been
   * replaced in the stream by a later one that was not read yet.
   */
  reachedEnd(): void {
    this.isLoaded = true;
    this.settledSequence = this.appliedSequence;
    this.complete();
  }

  /** The second of what is to be issued next; undefined when everything up to the target is. */
  nextSecond(target: number): number | undefined {
    // Before the replay is complete the watermark would pass jobs that are not here yet.
    if (!this.isLoaded) return undefined;
    if (this.pile) return this.pile.pile.second;
    const late = this.late.first();
    if (late !== undefined) return late;
    if (this.releasing) return undefined;
    const next = this.timetable.nextSecond();
    return next !== undefined && next <= target ? next : undefined;
  }

  /** Issues the next batch; undefined when what was due turned out to be gone. */
  issue(): { batch: Batch; unit: Unit } | undefined {
    this.pile ??= this.nextPile();
    if (!this.pile) return undefined;
    const { pile, unit } = this.pile;
    const batch = nextBatch(pile, this.limits);
    if (batch) {
      unit.unacknowledged++;
      unit.published += batch.entries.length;
    }
    if (pile.position < pile.slots.length) return batch && { batch, unit };
    this.pile = undefined;
    unit.open = false;
    if (!batch) this.complete();
    return batch && { batch, unit };
  }

  /** Declares the seconds up to the target done in which nothing is due. */
  skipTo(target: number): void {
    if (!this.isLoaded || this.releasing || target <= this.timetable.horizon) return;
    if (this.nextSecond(target) !== undefined) return;
    this.timetable.skipTo(target);
    this.units.push(this.unit(target, false));
    this.complete();
  }

  acknowledge(unit: Unit): void {
    unit.unacknowledged--;
    this.complete();
  }

  private nextPile(): { pile: Pile; unit: Unit } | undefined {
    const late = this.late.take();
    if (late) {
      const slots: Slot[] = [];
      for (const job of late.items) {
        if (job.slot.index < 0) continue;
        slots.push(job.slot);
        const next = job.slot.group.occurrences.nextAfter(late.second);
        if (next !== undefined && next <= job.untilSecond) this.late.add(next, job);
      }
      const unit = this.unit(undefined, true);
      this.units.push(unit);
      return { pile: { second: late.second, slots, position: 0 }, unit };
    }
    const due = this.timetable.take();
    if (!due) return undefined;
    const unit = this.unit(due.second, true);
    this.units.push(unit);
    return { pile: { ...due, position: 0 }, unit };
  }

  private unit(second: number | undefined, open: boolean): Unit {
    return { second, jobsSequence: this.settledSequence, published: 0, unacknowledged: 0, open };
  }

  private complete(): void {
    let done = 0;
    for (const unit of this.units) {
      if (unit.open || unit.unacknowledged > 0) break;
      done++;
      if (unit.second === undefined) continue;
      this.watermarkNow = { second: unit.second, jobsSequence: unit.jobsSequence };
      this.publishedNow = unit.published;
    }
    this.units.splice(0, done);
    // Nothing is under way: the changes read so far are in it as well.
    if (this.isLoaded && this.idle) {
      const second = this.timetable.horizon;
      if (this.watermarkNow?.second !== second) this.publishedNow = 0;
      this.watermarkNow = { second, jobsSequence: this.settledSequence };
    }
  }
}
