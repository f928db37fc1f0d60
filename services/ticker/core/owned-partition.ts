import type { PartitionClaim } from "../../wire/partition-claim.ts";
import type { DueMessage } from "./effects.ts";
import type { JobChange } from "./job-change.ts";
import { JobsCoverage } from "./jobs-coverage.ts";
import { PartitionAgenda } from "./partition-agenda.ts";
import { PartitionProgress, type Tally } from "./partition-progress.ts";
import { aheadToleratedSeconds, type TickerSettings } from "./ticker-settings.ts";
import { type Debt, TimingDebt } from "./timing-debt.ts";

/** A due message on its way out, and the tally that waits for its acknowledgement. */
export interface Issued {
  message: DueMessage;
  bytes: number;
  tally: Tally;
}

export type PartitionSettings = Pick<TickerSettings, "leadMs" | "lookbackSeconds" | "limits">;

// An owner before whose clock ran ahead, or that published on until it noticed its
// loss, may have come this far beyond its last watermark.
const predecessorAheadSeconds = 5;

/**
 * One owned partition, from its claim on. The agenda says what is published next,
 * the progress what is acknowledged, the debt what a changed job owes, and the
 * coverage how much of JOBS that stands on.
 */
export class OwnedPartition {
  readonly partition: number;
  readonly epoch: number;
  followId: number | undefined;
  /** Begins no further second; what is begun is finished. */
  releasing = false;
  #loaded = false;
  readonly #agenda: PartitionAgenda;
  readonly #progress: PartitionProgress;
  readonly #debt: TimingDebt;
  readonly #coverage = new JobsCoverage();
  /** The tally of what the agenda is cutting. */
  #open: Tally | undefined;

  /** Begins behind the claim's watermark, or where the look-back begins when it has none. */
  constructor(partition: number, { epoch, watermark }: PartitionClaim, nowSecond: number, settings: PartitionSettings) {
    const latestSecond = nowSecond + Math.ceil(settings.leadMs / 1000);
    const horizon = watermark?.second ?? nowSecond - settings.lookbackSeconds;
    const mayRepeatUntil = Math.max(latestSecond, horizon + predecessorAheadSeconds);
    this.partition = partition;
    this.epoch = epoch;
    this.#agenda = new PartitionAgenda({ horizon, mayRepeatUntil, limits: settings.limits });
    this.#progress = new PartitionProgress(watermark);
    this.#debt = new TimingDebt(watermark, horizon, settings.lookbackSeconds);
    this.rewindWhenAhead(nowSecond - 1, latestSecond);
  }

  /** Undefined while nothing is known: no owner before, and nothing published yet. */
  get watermark(): PartitionClaim["watermark"] {
    return this.#progress.watermark;
  }

  /** Occurrences published for the watermark's second. */
  get published(): number {
    return this.#progress.published;
  }

  /** The last second that was begun. */
  get horizon(): number {
    return this.#agenda.horizon;
  }

  get loaded(): boolean {
    return this.#loaded;
  }

  get jobs(): number {
    return this.#agenda.jobs;
  }

  /** Whether all that was begun is acknowledged. */
  get idle(): boolean {
    return this.#progress.idle && !this.#agenda.late;
  }

  /**
   * Takes a change of JOBS. Occurrences of a new timing up to the horizon are late
   * and go out at once, with those that the timings before it still owe. With the
   * timing unchanged, only the entry is replaced.
   * Returns the span whose late occurrences are given up, if any.
   */
  change(change: JobChange, sequence: number, nowMs = Number.POSITIVE_INFINITY): Debt["dropped"] {
    const { jobId } = change;
    const known = this.#agenda.slot(jobId);
    const again = this.#coverage.note(jobId, sequence);
    if (change.kind === "gone") {
      this.#debt.remember(jobId);
      this.#agenda.remove(jobId);
      return undefined;
    }
    // A broker that was set back has older states; the registry publishes the last ones once more.
    if (again && known && change.generation < known.generation) return undefined;
    if (known && known.timingGeneration === change.timingGeneration) {
      known.entry = change.entry;
      known.generation = change.generation;
      return undefined;
    }
    const { effectiveFromMs, owed, dropped } = this.#debt.of(change, known, this.horizon, nowMs);
    this.#debt.remember(jobId);
    this.#agenda.put({ ...change, effectiveFromMs }, owed);
    return dropped;
  }

  /** JOBS is read from a stream that was made at this second. */
  opened(createdSecond: number): void {
    this.#coverage.opened();
    if (this.#progress.sequenceHolds(createdSecond)) return;
    this.#debt.forgetSequences();
    this.#progress.forgetSequences();
  }

  /**
   * JOBS is another stream from here on, to be filled anew. The jobs stay until it
   * is filled. A job that it brings and that is not among them was never published.
   */
  streamReplaced(): void {
    this.#coverage.replaced(this.#agenda.jobIds());
    this.#agenda.markRepeats();
    this.#debt.forgetSequences();
    this.#progress.forgetSequences();
  }

  /** JOBS holds all jobs. Takes out those that it did not bring, and returns their number. */
  streamFilled(): number {
    // Should a job come back after all, it goes on where it was.
    const { issuedUntil } = this.#agenda;
    let count = 0;
    for (const jobId of this.#coverage.fill()) {
      const slot = this.#agenda.slot(jobId);
      if (!slot) continue;
      this.#debt.forget(jobId, slot.timingGeneration, issuedUntil);
      this.#agenda.remove(jobId);
      count++;
    }
    if (count > 0) this.#agenda.markRepeats();
    this.#cover();
    return count;
  }

  /**
   * The reader of JOBS has reached its end. Only here may the sequence that goes
   * with the watermark move: in between, the first event of a timing may have been
   * replaced in the stream by a later one that was not read yet.
   */
  reachedEnd(): void {
    this.#loaded = true;
    this.#cover();
  }

  /**
   * Begins again behind a second: what was published since was lost, or the clock
   * was set back. The occurrences keep their ids, so that those who got them know them.
   */
  rewind(second: number): void {
    if (second >= this.horizon) return;
    this.#agenda.rewind(second);
    this.#progress.rewind(second);
    this.#debt.rewind(second);
    if (!this.#agenda.cutting) this.#close();
    this.#advance();
  }

  /** Rewinds when the horizon lies too far ahead of what may be published to be waited for. */
  rewindWhenAhead(second: number, latestSecond: number): boolean {
    if (this.horizon <= latestSecond + aheadToleratedSeconds) return false;
    this.rewind(second);
    this.#agenda.takeEffectAt(second, aheadToleratedSeconds);
    return true;
  }

  /** The second of what is to be issued next; undefined when everything up to the target is. */
  nextSecond(target: number): number | undefined {
    // Before all jobs are here the watermark would pass those that are not.
    if (!this.#loaded) return undefined;
    return this.#agenda.nextSecond(this.releasing ? Number.NEGATIVE_INFINITY : target);
  }

  /** Issues the next message; undefined when the jobs that were due are gone. */
  issue(): Issued | undefined {
    const piece = this.#agenda.next();
    if (!piece) return undefined;
    const { second, batch, mayRepeat, last } = piece;
    const tally = this.#open ?? this.#progress.begin(second, this.#coverage.coveredSequence);
    this.#open = tally;
    if (batch) this.#progress.issued(tally, batch.entries.length);
    if (last) this.#close();
    if (!batch) {
      this.#advance();
      return undefined;
    }
    const { partition, epoch } = this;
    const { entries, bytes, contents } = batch;
    return { message: { partition, epoch, second: batch.second, mayRepeat, entries, contents }, bytes, tally };
  }

  /** Declares the seconds up to the target done in which nothing is due. */
  skipTo(target: number): void {
    if (!this.#loaded || this.releasing || target <= this.horizon) return;
    if (this.nextSecond(target) !== undefined) return;
    this.#agenda.skipTo(target);
    this.#progress.close(this.#progress.begin(target, this.#coverage.coveredSequence));
    this.#advance();
  }

  acknowledge(tally: Tally): void {
    this.#progress.acknowledged(tally);
    this.#advance();
  }

  #close(): void {
    if (this.#open) this.#progress.close(this.#open);
    this.#open = undefined;
  }

  #cover(): void {
    if (this.#coverage.filled && !this.#debt.expectsForgotten(this.horizon)) this.#coverage.cover();
    this.#advance();
  }

  #advance(): void {
    this.#progress.advance();
    // Nothing waits: the changes read so far are in it as well.
    if (this.#loaded && !this.#agenda.late) this.#progress.rest(this.horizon, this.#coverage.coveredSequence);
  }
}
