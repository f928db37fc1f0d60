import { createBatchPublisher } from "../../platform/jetstream/batch-publisher.ts";
import type { Publisher } from "../../platform/jetstream/publisher.ts";
import { type Clock, sleep } from "../../platform/process/clock.ts";
import type { Log } from "../../platform/process/log.ts";
import { restoredRow } from "../jobs/stored-job.ts";
import { type JobRow, type Receipt, type RegistryStore, storedState } from "../store/contract.ts";
import type { ReadJobs, SequenceRange, ToldState } from "./jobs-range.ts";
import { messageOfRow } from "./row-message.ts";

/**
 * Compares JOBS with the registry's own jobs, after one of them was set back to an older state or
 * lost: nobody's job is to fire that nobody can stop.
 */
export interface Withdrawal {
  /** Whether JOBS has a job that the registry does not know, or knows in an older state. */
  isAhead(range: SequenceRange): Promise<boolean>;
  /**
   * Publishes tombstones for the jobs that the registry does not know. Those that JOBS knows in a newer
   * state are changed back to what the registry has, from now on. Tries until it is done; resolves with
   * whether it is, and not one of `isWanted` has become false before.
   */
  withdraw(
    range: SequenceRange,
    stream: () => { edition: number; atomicBatches: boolean },
    isWanted: () => boolean,
  ): Promise<boolean>;
}

const retryDelayMs = 1_000;

export function createWithdrawal(
  store: Pick<RegistryStore, "findStates" | "changeJob">,
  parts: {
    publisher: Publisher;
    readJobs: ReadJobs;
    /** Writes down what the broker has acknowledged. */
    write: (receipts: readonly Receipt[]) => Promise<unknown>;
  },
  deps: { clock: Clock; log: Log; stopping: AbortSignal },
): Withdrawal {
  const { clock, log, stopping } = deps;
  const batches = createBatchPublisher(parts.publisher);

  /** Splits states by what has to be done about them. */
  const compare = async (states: readonly ToldState[]) => {
    const rows = await store.findStates(states.map(({ jobId }) => jobId));
    const unknown = states.filter(({ deleted }, index) => !rows[index] && !deleted);
    const newer = states.filter(({ generation, deleted }, index) => {
      const row = rows[index];
      return row && row.state !== storedState.deleted && (generation > row.generation || deleted);
    });
    return { unknown, newer };
  };

  /** Throws when the broker has refused one of them. */
  const publishTombstones = async (unknown: readonly ToldState[], edition: number, atomicBatches: boolean) => {
    const rows = unknown.map(({ jobId, generation }) => tombstoneOf(jobId, generation + 1));
    const reports = await Promise.all(
      batches.publish(
        rows.map((row) => messageOfRow(row, edition)),
        atomicBatches,
      ),
    );
    const receipts = rows.flatMap(({ jobId, timingGeneration }, index): Receipt[] => {
      const report = reports[index];
      if (report?.kind !== "stored") return [];
      const published = { timingGeneration, deleted: true, sequence: report.sequence, edition };
      return [{ jobId, keys: [], published }];
    });
    await parts.write(receipts);
    if (receipts.length < rows.length) throw new Error(`${rows.length - receipts.length} tombstones were not stored`);
  };

  const changeBack = async (newer: readonly ToldState[]) => {
    for (const { jobId, generation } of newer) {
      await store.changeJob(jobId, (row) =>
        row.generation > generation
          ? { answer: undefined }
          : { next: restoredRow(row, generation + 1, clock.nowMs()), answer: undefined },
      );
    }
  };

  return {
    async isAhead(range) {
      let ahead = false;
      await parts.readJobs(range, async (states) => {
        const { unknown, newer } = await compare(states);
        ahead = unknown.length + newer.length > 0;
        return !ahead;
      });
      return ahead;
    },
    async withdraw(range, stream, isWanted) {
      const goesOn = () => isWanted() && !stopping.aborted;
      let withdrawn = 0;
      let changedBack = 0;
      while (goesOn()) {
        try {
          await parts.readJobs(range, async (states) => {
            if (!goesOn()) return false;
            const { unknown, newer } = await compare(states);
            const { edition, atomicBatches } = stream();
            if (unknown.length > 0) await publishTombstones(unknown, edition, atomicBatches);
            await changeBack(newer);
            withdrawn += unknown.length;
            changedBack += newer.length;
            return goesOn();
          });
          if (!goesOn()) return false;
          if (withdrawn + changedBack > 0) log.error({ event: "jobs_withdrawn", jobs: withdrawn, changedBack });
          return true;
        } catch (error) {
          if (!goesOn()) return false;
          // What was withdrawn is a tombstone by now: reading from the beginning finds the rest.
          log.warn({ event: "jobs_not_withdrawn", err: error });
          await sleep(clock, retryDelayMs, stopping);
        }
      }
      return false;
    },
  };
}

function tombstoneOf(jobId: string, generation: number): JobRow {
  return {
    jobId,
    generation,
    state: storedState.deleted,
    timingGeneration: generation,
    effectiveFromMs: 0,
    timingSequence: 0,
    timingEdition: 0,
    earlier: [],
    pausedGeneration: 0,
    lastSecond: undefined,
    ended: false,
    job: new Uint8Array(),
  };
}
