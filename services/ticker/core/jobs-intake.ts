import type { Effects } from "./effects.ts";
import { JobFeeds } from "./job-feeds.ts";
import type { JobChange, Now, TickerSettings } from "./model.ts";
import type { PartitionRun } from "./partition-run.ts";

/** Hands what the readers of JOBS tell to the partitions that read with them. */
export class JobsIntake {
  readonly #runs: ReadonlyMap<number, PartitionRun>;
  readonly #effects: Effects;
  readonly #feeds: JobFeeds;

  constructor(settings: TickerSettings, runs: ReadonlyMap<number, PartitionRun>, effects: Effects) {
    this.#runs = runs;
    this.#effects = effects;
    this.#feeds = new JobFeeds(settings.filledAfterMs);
  }

  /** The stream that is read from here on; the second one under an id replaces the first. */
  opened(followId: number, createdMs: number): void {
    const another = this.#feeds.opened(followId, createdMs);
    const readers = this.#readers(followId);
    for (const run of readers) {
      if (another) run.streamReplaced();
      else run.opened(Math.floor(createdMs / 1000));
    }
    if (!another) return;
    const jobs = readers.reduce((sum, run) => sum + run.jobs, 0);
    this.#effects.emit({
      kind: "notice",
      notice: { event: "jobs_stream_replaced", partitions: readers.length, jobs },
    });
  }

  /** Tells whether something late is to go out. */
  changed(now: Now, followId: number, partition: number, sequence: number, change: JobChange): boolean {
    const run = this.#runs.get(partition);
    if (run?.followId !== followId) return false;
    this.#feeds.stirred(followId);
    const dropped = run.change(change, sequence, now.wallMs);
    if (dropped) {
      const { droppedFromMs: fromMs, untilMs } = dropped;
      const notice = { event: "late_occurrences_dropped", partition, jobId: change.jobId, fromMs, untilMs } as const;
      this.#effects.emit({ kind: "notice", notice });
    }
    return run.nextSecond(Number.NEGATIVE_INFINITY) !== undefined;
  }

  /** The reader has reached the end; tells whether partitions are loaded by that. */
  ended(now: Now, followId: number): boolean {
    this.#feeds.ended(now, followId);
    let first = false;
    for (const run of this.#readers(followId)) {
      first ||= !run.loaded;
      run.reachedEnd();
    }
    this.settle(now);
    return first;
  }

  /** The connection is back: what happened meanwhile was not heard. */
  heardAgain(now: Now): void {
    this.#feeds.heardAgain(now);
  }

  /** Takes streams for filled that are by now. */
  settle(now: Now): void {
    for (const followId of this.#feeds.takeFilled(now)) {
      const readers = this.#readers(followId);
      if (readers.length === 0) this.#feeds.closed(followId);
      for (const run of readers) {
        const jobs = run.streamFilled();
        const { partition } = run;
        if (jobs > 0) this.#effects.emit({ kind: "notice", notice: { event: "jobs_forgotten", partition, jobs } });
      }
    }
  }

  #readers(followId: number): PartitionRun[] {
    return [...this.#runs.values()].filter((run) => run.followId === followId);
  }
}
