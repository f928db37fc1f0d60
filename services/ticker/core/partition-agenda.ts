import { type Batch, type BatchLimits, nextBatch, type Pile } from "./batch.ts";
import { LateQueue } from "./late-queue.ts";
import { type Slot, type SlotDefinition, Timetable } from "./timetable.ts";

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

  /** Whether late occurrences wait that are not begun. */
  get late(): boolean {
    return this.#late.size > 0;
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

  /** Puts a job in. Those of its occurrences that lie after an instant and not beyond the horizon are late. */
  put(definition: SlotDefinition, owedAfterMs: number): void {
    const slot = this.#timetable.put(definition);
    this.#late.add(slot, owedAfterMs, this.horizon);
  }

  /** Takes a job out, at once: also what waits of it is not handed out any more. */
  remove(jobId: string): void {
    this.#timetable.remove(jobId);
  }

  /** The second of the next piece. Beyond the target only what is begun or late is handed out. */
  nextSecond(target: number): number | undefined {
    if (this.#cut) return this.#cut.pile.second;
    const late = this.#late.first();
    if (late !== undefined) return late;
    const due = this.#timetable.nextSecond();
    return due !== undefined && due <= target ? due : undefined;
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
  }

  /** Brings jobs that would take effect much later than a second back to it. */
  takeEffectAt(second: number, toleratedSeconds: number): void {
    this.#timetable.takeEffectAt(second, toleratedSeconds);
  }

  #begin(): { pile: Pile; second: number | undefined } | undefined {
    const late = this.#late.take();
    if (late) return { pile: { ...late, next: 0 }, second: undefined };
    const due = this.#timetable.take();
    return due && { pile: { ...due, next: 0 }, second: due.second };
  }
}
