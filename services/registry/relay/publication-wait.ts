import type { Clock } from "../../platform/process/clock.ts";

/** What a call that may change jobs came to. */
export interface ChangeAnswer {
  /** By job, the generation that the call has made; the jobs that it has left as they are stand not here. */
  made: ReadonlyMap<string, number>;
}

/**
 * Lets the answer to a change wait until the broker has it and the executors have
 * seen it, so that no call starts against it by the time that the caller knows.
 */
export interface PublicationWait {
  /** Told by the relay: the broker keeps the job's state of this generation, under this sequence of JOBS. */
  published(jobId: string, generation: number, sequence: number): void;
  /**
   * Makes a call, and resolves with its answer once what it made of these jobs is published; after a moment in any
   * case, since the change itself stands. Where a job has not changed it waits for the calls of the same moment, one of
   * which may have made the state that it answers with.
   *
   * The jobs are followed from before the call: a state may be published before the store has answered. Nothing is kept
   * of a job that has no call under way.
   */
  afterPublication<T extends ChangeAnswer>(jobIds: readonly string[], call: () => Promise<T>): Promise<T>;
}

// Longer than the lead: what executors held when the change was made has fired by then.
const longestWaitMs = 1_000;
// A broker whose disk is slow stores a thousand changes in this time a change.
const waitOfFurtherMs = 2;

interface FollowedJob {
  calls: number;
  /** The highest generation that was published since the first of these calls began. */
  published: number;
  /** The calls that may have changed the job; each resolves when it has not, or is over. */
  changing: Set<Promise<void>>;
  /** By generation, those who wait for it. */
  waiting: Map<number, () => void>;
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
  const followed = new Map<string, FollowedJob>();

  const follow = (jobId: string) => {
    const job = followed.get(jobId) ?? { calls: 0, published: 0, changing: new Set(), waiting: new Map() };
    followed.set(jobId, job);
    job.calls++;
    return job;
  };
  const reached = (job: FollowedJob, generation: number) =>
    new Promise<void>((resolve) => {
      if (job.published >= generation) resolve();
      else job.waiting.set(generation, resolve);
    });
  const forAMoment = (promise: Promise<unknown>, jobs: number) =>
    new Promise<void>((resolve) => {
      const cancel = clock.after(longestWaitMs + (jobs - 1) * waitOfFurtherMs, resolve);
      void promise.then(() => {
        cancel();
        resolve();
      });
    });

  return {
    published(jobId, generation, sequence) {
      const job = followed.get(jobId);
      if (!job) return;
      void seen(sequence).then(() => {
        job.published = Math.max(job.published, generation);
        for (const [wanted, done] of job.waiting) if (wanted <= generation) done();
      });
    },
    async afterPublication(jobIds, call) {
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
      let made: ChangeAnswer["made"] = new Map();
      try {
        const answer = await call();
        ({ made } = answer);
        const waits = parts.map(({ jobId, job, over }) => {
          const generation = made.get(jobId);
          // Job by job: of two calls with the same jobs neither waits for the other's end.
          if (generation !== undefined) return reached(job, generation).then(over);
          over();
          return Promise.all(job.changing);
        });
        if (publishing()) await forAMoment(Promise.all(waits), parts.length);
        return answer;
      } finally {
        for (const { jobId, job, over } of parts) {
          over();
          const generation = made.get(jobId);
          if (generation !== undefined) job.waiting.delete(generation);
          if (--job.calls === 0) followed.delete(jobId);
        }
      }
    },
  };
}
