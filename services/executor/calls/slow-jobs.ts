import { Fifo } from "./fifo.ts";
import type { Queueable } from "./queueable.ts";

interface SlowJob {
  /** Calls of it that were found slow and are in flight. */
  inFlight: number;
  /** Whether one was found slow since the last forgetting. */
  recent: boolean;
}

// Of one origin; a job that is not remembered is treated like all others.
const mostJobs = 10_000;

/**
 * The jobs of one origin whose calls take long, though the origin answers others
 * at once: on a host that many share, one of them must not take the places of all.
 */
export class SlowJobs<T extends Queueable> {
  readonly #jobs = new Map<string, SlowJob>();
  readonly #held = new Fifo<T>();
  #inFlight = 0;
  // Of the last calls; halved again and again.
  #fastEnds = 0;
  #slowEnds = 0;

  /** Their calls that are in flight and take long. */
  inFlight(): number {
    return this.#inFlight;
  }

  has(jobId: string): boolean {
    return this.#jobs.size > 0 && this.#jobs.has(jobId);
  }

  /** Whether the origin answers most of its calls at once. Where all are slow there is nobody to protect. */
  areFew(): boolean {
    return this.#jobs.size > 0 && this.#fastEnds > this.#slowEnds;
  }

  add(jobId: string): void {
    this.#inFlight++;
    const known = this.#jobs.get(jobId);
    if (known) {
      known.inFlight++;
      known.recent = true;
    } else if (this.#jobs.size < mostJobs) {
      this.#jobs.set(jobId, { inFlight: 1, recent: true });
    }
  }

  ended(jobId: string, wasLong: boolean): void {
    if (!wasLong) {
      this.#fastEnds++;
      // It answers at once again.
      if (this.#jobs.size > 0 && this.#jobs.get(jobId)?.inFlight === 0) this.#jobs.delete(jobId);
      return;
    }
    this.#slowEnds++;
    this.#inFlight--;
    const job = this.#jobs.get(jobId);
    if (job) job.inFlight = Math.max(0, job.inFlight - 1);
  }

  /** Called now and then: jobs that nothing was heard of since the last time are jobs like all others. */
  forget(): void {
    this.#fastEnds /= 2;
    this.#slowEnds /= 2;
    for (const [jobId, job] of this.#jobs) {
      if (job.inFlight === 0 && !job.recent) this.#jobs.delete(jobId);
      job.recent = false;
    }
  }

  hold(item: T): void {
    this.#held.push(item);
  }

  held(): number {
    return this.#held.length;
  }

  peek(): T | undefined {
    return this.#held.peek();
  }

  release(): T | undefined {
    return this.#held.shift();
  }

  takeIf(condition: (item: T) => boolean): T[] {
    return this.#held.takeIf(condition);
  }
}
