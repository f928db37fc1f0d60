import type { EffectSink } from "./effects.ts";
import { FillWatch } from "./fill-watch.ts";
import type { JobChange } from "./job-change.ts";
import type { Now } from "./now.ts";
import type { OwnedPartition } from "./owned-partition.ts";
import type { TickerSettings } from "./ticker-settings.ts";

/** Hands what the readers of JOBS tell to the partitions that they read for. */
export class JobsRouter {
  readonly #owned: ReadonlyMap<number, OwnedPartition>;
  readonly #effects: EffectSink;
  readonly #fillWatch: FillWatch;

  constructor(settings: TickerSettings, owned: ReadonlyMap<number, OwnedPartition>, effects: EffectSink) {
    this.#owned = owned;
    this.#effects = effects;
    this.#fillWatch = new FillWatch(settings.filledAfterMs);
  }

  /** A follower has begun to read a stream. When it had read another one before, this one replaces it. */
  opened(followId: number, createdMs: number): void {
    const replaced = this.#fillWatch.opened(followId, createdMs);
    const readers = this.#readers(followId);
    for (const holding of readers) {
      if (replaced) holding.streamReplaced();
      else holding.opened(Math.floor(createdMs / 1000));
    }
    if (!replaced) return;
    const jobs = readers.reduce((sum, holding) => sum + holding.jobs, 0);
    this.#effects.emit({
      kind: "notice",
      notice: { event: "jobs_stream_replaced", partitions: readers.length, jobs },
    });
  }

  /** Hands on a change. Tells whether its partition has something to publish at once: late occurrences, or what is begun. */
  changed(now: Now, followId: number, partition: number, sequence: number, change: JobChange): boolean {
    const holding = this.#owned.get(partition);
    if (holding?.followId !== followId) return false;
    this.#fillWatch.changed(followId);
    const dropped = holding.change(change, sequence, now.wallMs);
    if (dropped) {
      const notice = { event: "late_occurrences_dropped", partition, jobId: change.jobId, ...dropped } as const;
      this.#effects.emit({ kind: "notice", notice });
    }
    return holding.nextSecond(Number.NEGATIVE_INFINITY) !== undefined;
  }

  /** The reader has reached the end. Tells whether partitions are loaded by that. */
  reachedEnd(now: Now, followId: number): boolean {
    this.#fillWatch.reachedEnd(now, followId);
    let first = false;
    for (const holding of this.#readers(followId)) {
      first ||= !holding.loaded;
      holding.reachedEnd();
    }
    this.noteFilled(now);
    return first;
  }

  /** Nothing was heard while the connection was away. */
  reconnected(now: Now): void {
    this.#fillWatch.restartSilence(now);
  }

  /** Tells the partitions whose stream holds all jobs by now. */
  noteFilled(now: Now): void {
    for (const followId of this.#fillWatch.takeFilled(now)) {
      const readers = this.#readers(followId);
      if (readers.length === 0) this.#fillWatch.closed(followId);
      for (const holding of readers) {
        const jobs = holding.streamFilled();
        const { partition } = holding;
        if (jobs > 0) this.#effects.emit({ kind: "notice", notice: { event: "jobs_forgotten", partition, jobs } });
      }
    }
  }

  #readers(followId: number): OwnedPartition[] {
    return [...this.#owned.values()].filter((holding) => holding.followId === followId);
  }
}
