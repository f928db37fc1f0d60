import { type Batch, type BatchLimits, nextBatch, type Pile } from "./batch.ts";
import { LateQueue } from "./late-queue.ts";
import { type Occurrences, type Slot, type SlotDefinition, Timetable } from "./timetable.ts";

/** A timing that an edit has ended, and what of it was not published. */
export interface EndedTiming {
  occurrences: Occurrences;
  effectiveFromMs: number;
  untilMs: number;
  /** Occurrences after this instant are still to go out. */
  owedAfterMs: number;
}

/** What a job that is put in owes. */
export interface Owed {
  /** Its occurrences after this instant and not beyond the horizon are late. */
  afterMs: number;
  /** All of what is left of the timings before it is late. */
  ended: readonly EndedTiming[];
  /** Up to here what was taken out of it before stays owed; undefined when it was paused since. */
  untilMs: number | undefined;
}

/** An ended timing, and the slot of the job that it belongs to. */
interface Ended extends EndedTiming {
  slot: Slot;
}

// No horizon goes back further than a clock that is waited for, or a lost DUE, makes it.
const endedKeptSeconds = 600;

/** A piece of what is to be published. */
export interface AgendaPiece {
  /** The second that is done with its last piece; undefined for late occurrences. */
  second: number | undefined;
  /** Undefined when the jobs that were due are gone. */
  batch: Batch | undefined;
  /** Some of it may have been published before, by this owner or by another. */
  mayRepeat: boolean;
  /** Nothing more comes of the same second. */
  last: boolean;
}

/**
 * What a partition is to publish next: the due seconds of its timetable, and
 * before them the late occurrences of timings that were not known in time. It
 * hands them out batch by batch and knows nothing of acknowledgements.
 */
export class PartitionAgenda {
  readonly #timetable: Timetable;
  readonly #late = new LateQueue();
  /** Ended timings of the last minutes, the first first: a horizon that goes back passes them again. */
  readonly #ended = new Set<Ended>();
  readonly #limits: BatchLimits;
  /** What is being cut into batches. */
  #cut: { pile: Pile; second: number | undefined } | undefined;
  #mayRepeatUntil: number;

  /** Begins behind `horizon`. Up to `mayRepeatUntil` an owner before may have published. */
  constructor(options: { horizon: number; mayRepeatUntil: number; limits: BatchLimits }) {
    this.#timetable = new Timetable(options.horizon);
    this.#mayRepeatUntil = options.mayRepeatUntil;
    this.#limits = options.limits;
  }

  /** The last second that was handed out, or begun. */
  get horizon(): number {
    return this.#timetable.horizon;
  }

  get jobs(): number {
    return this.#timetable.size;
  }

  /** Whether pieces of a second were handed out, and more of it is to come. */
  get cutting(): boolean {
    return this.#cut !== undefined;
  }

  /** Whether occurrences behind the horizon wait that are not begun. */
  get late(): boolean {
    return (this.#late.first() ?? Number.POSITIVE_INFINITY) <= this.horizon;
  }

  /** Everything up to this second has been handed out. */
  get issuedUntil(): number {
    const next = this.horizon + 1;
    return Math.min(this.#cut?.pile.second ?? next, this.#late.first() ?? next) - 1;
  }

  /** What still comes of the seconds up to the horizon may have been published before. */
  markRepeats(): void {
    this.#mayRepeatUntil = Math.max(this.#mayRepeatUntil, this.horizon);
  }

  slot(jobId: string): Slot | undefined {
    return this.#timetable.get(jobId);
  }

  jobIds(): Iterable<string> {
    return this.#timetable.jobIds();
  }

  put(definition: SlotDefinition, owed: Owed): void {
    const slot = this.#timetable.put(definition, owed.untilMs);
    this.#late.add(slot, slot.group.occurrences, owed.afterMs, this.horizon);
    for (const timing of owed.ended) {
      this.#late.add(slot, timing.occurrences, timing.owedAfterMs, secondOf(timing.untilMs));
      this.#ended.add({ ...timing, slot });
    }
    this.#forgetEnded();
  }

  /** Takes a job out, at once: also what waits of it is not handed out any more. */
  remove(jobId: string): void {
    this.#timetable.remove(jobId);
  }

  /** The second of the next piece. Beyond the target only what is begun or late is handed out. */
  nextSecond(target: number): number | undefined {
    if (this.#cut) return this.#cut.pile.second;
    const due = this.#timetable.nextSecond();
    const next = Math.min(this.#late.first() ?? due ?? Number.NaN, due ?? Number.POSITIVE_INFINITY);
    return next <= this.horizon || next <= target ? next : undefined;
  }

  /** Hands out the next piece, whatever the target; undefined when there is none. */
  next(): AgendaPiece | undefined {
    this.#cut ??= this.#begin();
    if (!this.#cut) return undefined;
    const { pile, second } = this.#cut;
    const batch = nextBatch(pile, this.#limits);
    const last = pile.next >= pile.slots.length;
    if (last) this.#cut = undefined;
    return { second, batch, mayRepeat: pile.second <= this.#mayRepeatUntil, last };
  }

  /** Passes the seconds up to the target in which nothing is due. */
  skipTo(target: number): void {
    this.#timetable.skipTo(target);
  }

  /** Goes back behind a second: what was handed out since comes again, as possible repeats. */
  rewind(second: number): void {
    this.markRepeats();
    this.#timetable.rewind(second);
    if (this.#cut && this.#cut.pile.second > second) this.#cut = undefined;
    this.#late.endAt(second);
    // The timetable hands out what jobs are due by now, and knows nothing of what they were due by before.
    for (const { slot, occurrences, effectiveFromMs, untilMs } of this.#ended) {
      const untilSecond = secondOf(untilMs);
      this.#mayRepeatUntil = Math.max(this.#mayRepeatUntil, untilSecond);
      this.#late.add(slot, occurrences, Math.max(effectiveFromMs, second * 1000), untilSecond);
    }
  }

  /** Brings jobs that would take effect much later than a second back to it. */
  takeEffectAt(second: number, toleratedSeconds: number): void {
    this.#timetable.takeEffectAt(second, toleratedSeconds);
  }

  #forgetEnded(): void {
    const oldestMs = (this.horizon - endedKeptSeconds) * 1000;
    for (const ended of this.#ended) {
      if (ended.untilMs > oldestMs) return;
      this.#ended.delete(ended);
    }
  }

  #begin(): { pile: Pile; second: number | undefined } | undefined {
    this.#forgetEnded();
    const late = this.#late.first();
    // Of an ended timing some may lie ahead: each second comes in its turn, and before the timetable passes it.
    if (late !== undefined && late <= (this.#timetable.nextSecond() ?? late)) {
      const taken = this.#late.take();
      return taken && { pile: { ...taken, next: 0 }, second: undefined };
    }
    const due = this.#timetable.take();
    return due && { pile: { ...due, next: 0 }, second: due.second };
  }
}

function secondOf(ms: number): number {
  return Math.floor(ms / 1000);
}
