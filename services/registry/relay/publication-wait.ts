import { LRUCache } from "lru-cache";
import type { Clock } from "../../platform/process/clock.ts";

/** What a call that may change jobs came to. */
export interface ChangeAnswer {
  /** By job, the generation that the call has made; the jobs that it has left as they are stand not here. */
  made: ReadonlyMap<string, number>;
}

/** What a call has answered, and what of it is not known everywhere. */
export interface Published<T> {
  answer: T;
  /** Of the jobs asked for those whose state nobody may have heard of yet: calls may still follow the one before. */
  unheard: readonly string[];
}

/**
 * Lets the answer to a change wait until the broker has it and the executors have
 * seen it, so that no call starts against it by the time that the caller knows.
 */
export interface PublicationWait {
  /** Told by the relay: the broker keeps the job's state of this generation, under this sequence of JOBS. */
  published(jobId: string, generation: number, sequence: number): void;
  /** Told by the relay: nothing is left to publish, also of what an earlier process has left. */
  caughtUp(): void;
  /**
   * Makes a call, and resolves with its answer once what it made of these jobs is published; after a moment in any
   * case, since the change itself stands. Where a job has not changed it waits for the calls of the same moment, one of
   * which may have made the state that it answers with, and for what earlier ones have made in vain so far.
   *
   * The jobs are followed from before the call: a state may be published before the store has answered. Nothing is kept
   * of a job that has no call under way, but what nobody has heard of.
   *
   * `stops`: whoever has the answer relies on it that no call starts, and rather waits for longer, also for a broker that
   * is away.
   */
  afterPublication<T extends ChangeAnswer>(
    jobIds: readonly string[],
    call: () => Promise<T>,
    how?: { stops: boolean },
  ): Promise<Published<T>>;
}

// Longer than the lead: what executors held when the change was made has fired by then.
const longestWaitMs = 1_000;
// Longer than an executor may be silent before it is not waited for.
const longestStopWaitMs = 5_000;
// Of a broker that is away, while jobs are stopped all the same. Of more nobody remembers that they are not heard of.
const mostUnheard = 100_000;
// A broker whose disk is slow stores a thousand changes in this time a change.
const waitOfFurtherMs = 2;

interface FollowedJob {
  calls: number;
  /** The highest generation that was published since the first of these calls began. */
  published: number;
  /** The calls that may have changed the job; each resolves when it has not, or is over. */
  changing: Set<Promise<void>>;
  /** Those who wait for a generation. */
  waiting: Set<{ generation: number; resolve: () => void }>;
}

/**
 * `publishing`: while the broker is away nothing is published, and waiting for it would help nobody.
 * `seen`: resolves when the executors that are alive have seen JOBS up to a sequence.
 */
export function createPublicationWait(deps: {
  clock: Clock;
  publishing: () => boolean;
  seen: (sequence: number) => Promise<void>;
}): PublicationWait {
  const { clock, publishing, seen } = deps;
  const caughtUp = Promise.withResolvers<void>();
  let knowsAll = false;
  const followed = new Map<string, FollowedJob>();
  /** What was answered before it was published and seen: the generation, by job. */
  const unheard = new LRUCache<string, number>({ max: mostUnheard });

  const follow = (jobId: string) => {
    const job = followed.get(jobId) ?? { calls: 0, published: 0, changing: new Set(), waiting: new Set() };
    followed.set(jobId, job);
    job.calls++;
    return job;
  };
  const reached = (job: FollowedJob, generation: number) =>
    new Promise<void>((resolve) => {
      if (job.published >= generation) resolve();
      else job.waiting.add({ generation, resolve });
    });
  const forAMoment = (promise: Promise<unknown>, mostMs: number) =>
    new Promise<void>((resolve) => {
      const cancel = clock.after(mostMs, resolve);
      void promise.then(() => {
        cancel();
        resolve();
      });
    });
  const hear = (jobId: string, generation: number) => {
    const wanted = unheard.peek(jobId);
    if (wanted !== undefined && wanted <= generation) unheard.delete(jobId);
    const job = followed.get(jobId);
    if (!job) return;
    job.published = Math.max(job.published, generation);
    for (const one of job.waiting) {
      if (one.generation > generation) continue;
      job.waiting.delete(one);
      one.resolve();
    }
  };

  return {
    published(jobId, generation, sequence) {
      if (!followed.has(jobId) && unheard.peek(jobId) === undefined) return;
      void seen(sequence).then(() => hear(jobId, generation));
    },
    caughtUp() {
      knowsAll = true;
      caughtUp.resolve();
    },
    async afterPublication(jobIds, call, { stops } = { stops: false }) {
      const parts = jobIds.map((jobId) => {
        const job = follow(jobId);
        const own = Promise.withResolvers<void>();
        job.changing.add(own.promise);
        /** Nobody has to wait for this call any more on account of this job. */
        const over = () => {
          job.changing.delete(own.promise);
          own.resolve();
        };
        return { jobId, job, over };
      });
      try {
        const answer = await call();
        // Until they are heard of.
        for (const [jobId, generation] of answer.made) if (followed.has(jobId)) unheard.set(jobId, generation);
        const waits = parts.map(({ jobId, job, over }) => {
          const generation = answer.made.get(jobId);
          // Job by job: of two calls with the same jobs neither waits for the other's end.
          if (generation !== undefined) return reachedOrHeard(job, jobId, generation).then(over);
          over();
          if (!stops) return Promise.all(job.changing);
          const earlier = unheard.peek(jobId);
          return Promise.all([
            caughtUp.promise,
            ...job.changing,
            earlier === undefined ? undefined : reached(job, earlier),
          ]);
        });
        const mostMs = (stops ? longestStopWaitMs : longestWaitMs) + (parts.length - 1) * waitOfFurtherMs;
        if (stops || publishing()) await forAMoment(Promise.all(waits), mostMs);
        const isUnheard = (jobId: string) => unheard.peek(jobId) !== undefined || !(knowsAll || answer.made.has(jobId));
        return { answer, unheard: jobIds.filter(isUnheard) };
      } finally {
        for (const { jobId, job, over } of parts) {
          over();
          if (--job.calls === 0) followed.delete(jobId);
        }
      }
    },
  };

  /** A state may have been published before the store has answered. */
  function reachedOrHeard(job: FollowedJob, jobId: string, generation: number): Promise<void> {
    if (job.published >= generation) hear(jobId, job.published);
    return reached(job, generation);
  }
}
