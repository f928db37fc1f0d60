import { isJobId } from "../../domain/identity/job-id.ts";
import type { Broker } from "../../platform/jetstream/broker.ts";
import { createFollower } from "../../platform/jetstream/follower.ts";
import { afterThisTurn, type Clock, secondOf, sleep } from "../../platform/process/clock.ts";
import type { Startable } from "../../platform/process/lifecycle.ts";
import type { Log } from "../../platform/process/log.ts";
import { isTombstone } from "../../wire/job-event.ts";
import { streams } from "../../wire/streams.ts";
import { jobIdOfSubject, subjects } from "../../wire/subjects.ts";
import type { HistoryStore, JobState, JobsPlace } from "../store/contract.ts";

export interface DeletionFollowerDeps {
  broker: Broker;
  store: Pick<HistoryStore, "noteJobs" | "jobsPlace">;
  /** Called before each commit, which waits for it. */
  makeRoom: () => Promise<void>;
  clock: Clock;
  log: Log;
}

/** Nobody waits for it: what comes within this span shares a commit. */
const gatherMs = 250;
/** 5 to 10 ms of work: what a commit of results may have to wait for. */
const jobsPerCall = 1_000;
/** After a commit that failed (a full disk). */
const retryMs = 2_000;

interface Waiting extends JobState {
  place: JobsPlace;
}

/**
 * Tells the store which jobs are deleted, as JOBS has it. The store knows how far that is: a start goes on from there,
 * and so does what could not be written.
 */
export function createDeletionFollower(deps: DeletionFollowerDeps): Startable {
  const { broker, store, clock, log } = deps;
  const stopping = new AbortController();
  let loop: Promise<void> | undefined;
  let failing = false;

  /** Undefined when it cannot be read, and nobody knows what became of the job: it stays as it was. */
  const deletedBy = (jobId: string, data: Uint8Array, sequence: number): boolean | undefined => {
    try {
      if (!isJobId(jobId)) throw new Error(`"${jobId}" is no job id`);
      return isTombstone(data);
    } catch (error) {
      log.error({ event: "job_event_invalid", jobId, sequence, err: error });
      return undefined;
    }
  };

  /** From the place of the store until it is stopped, or rejects when something cannot be written. */
  const follow = async (): Promise<void> => {
    const place = await store.jobsPlace();
    const ended = Promise.withResolvers<void>();
    /** By job, in the order of their last messages. */
    const waiting = new Map<string, Waiting>();
    let stream = place?.stream ?? "";
    let cancelGather: (() => void) | undefined;
    let noting: Promise<void> | undefined;

    const note = async () => {
      while (waiting.size > 0 && !stopping.signal.aborted) {
        const jobs = [...waiting.values().take(jobsPerCall)];
        const last = jobs.at(-1);
        if (!last) return;
        for (const { jobId } of jobs) waiting.delete(jobId);
        await deps.makeRoom();
        await store.noteJobs(jobs, last.place);
        if (failing) log.info({ event: "deletions_noted_again" });
        failing = false;
        await new Promise<void>((resolve) => afterThisTurn(resolve));
      }
    };
    const gather = () => {
      cancelGather ??= clock.after(gatherMs, flush);
    };
    const flush = () => {
      cancelGather?.();
      cancelGather = undefined;
      noting ??= note().then(() => {
        noting = undefined;
        if (waiting.size > 0) gather();
      }, ended.reject);
    };
    const follower = createFollower(broker, deps, {
      stream: streams.jobs,
      subjects: [subjects.jobs],
      from: "state",
      place,
      onStream: (_, created) => {
        stream = created;
      },
      onMessage(message) {
        const jobId = jobIdOfSubject(message.subject);
        const deleted = deletedBy(jobId, message.data, message.seq);
        if (deleted === undefined) return;
        const second = secondOf(message.info.timestampNanos / 1e6);
        waiting.delete(jobId);
        waiting.set(jobId, { jobId, deleted, second, place: { stream, sequence: message.seq } });
        if (waiting.size >= jobsPerCall) flush();
        else if (!noting) gather();
      },
    });
    const end = () => ended.resolve();
    stopping.signal.addEventListener("abort", end, { once: true });
    if (stopping.signal.aborted) end();
    try {
      await follower.start();
      await ended.promise;
    } finally {
      stopping.signal.removeEventListener("abort", end);
      cancelGather?.();
      await follower.stop();
      await noting;
    }
  };

  return {
    async start() {
      loop ??= (async () => {
        while (!stopping.signal.aborted) {
          await follow().catch((error) => {
            // Once: a full disk fails each time until there is room.
            if (!failing) log.error({ event: "deletions_not_noted", err: error });
            failing = true;
          });
          await sleep(clock, retryMs, stopping.signal);
        }
      })();
    },
    async stop() {
      stopping.abort();
      await loop;
    },
  };
}
