/**
 * How much of JOBS a partition has read: which sequence may go with its
 * watermark. Sequences mean something within one stream only. JOBS becomes
 * another stream when it is deleted or the broker's disk is lost, and the
 * registry fills that one bit by bit.
 */
export class JobsCoverage {
  #readSequence = 0;
  #coveredSequence = 0;
  #filled = true;
  /** Jobs that the new stream has not brought yet. */
  #unconfirmed: Set<string> | undefined;

  /** The sequence up to which each timing is in the timetable; 0: none is known to be. */
  get coveredSequence(): number {
    return this.#coveredSequence;
  }

  /** Whether the stream holds all jobs, as far as is known. */
  get filled(): boolean {
    return this.#filled;
  }

  /** A stream is read of which nobody knows yet whether it is filled. */
  opened(): void {
    this.#filled = false;
  }

  /** Another stream is read from here on. It is to bring these jobs again. */
  replaced(jobIds: Iterable<string>): void {
    this.#filled = false;
    this.#unconfirmed = new Set(jobIds);
    this.#readSequence = 0;
    this.#coveredSequence = 0;
  }

  /** Takes note of a change of a job. Tells whether an earlier stream had brought the job, and this one now brings it for the first time. */
  note(jobId: string, sequence: number): boolean {
    this.#readSequence = Math.max(this.#readSequence, sequence);
    return this.#unconfirmed?.delete(jobId) === true;
  }

  /** The stream holds all jobs. Returns those that it did not bring. */
  fill(): Iterable<string> {
    this.#filled = true;
    const missing = this.#unconfirmed ?? [];
    this.#unconfirmed = undefined;
    return missing;
  }

  /**
   * The reader is at the end. To the next owner the covered sequence says that
   * each timing before it was published: it moves only when no job is missing.
   */
  cover(): void {
    this.#coveredSequence = this.#readSequence;
  }
}
