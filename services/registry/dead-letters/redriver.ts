import type { Job } from "../../../gen/carillon/v1/job_pb.ts";
import { partitionOf } from "../../domain/identity/partition.ts";
import { askBroker } from "../../platform/jetstream/ask-broker.ts";
import type { Broker } from "../../platform/jetstream/broker.ts";
import { removeStored } from "../../platform/jetstream/remove-stored.ts";
import type { Clock } from "../../platform/process/clock.ts";
import type { Log } from "../../platform/process/log.ts";
import { dueEntryOf, writeDueEntry } from "../../wire/due-entry.ts";
import { type RetryEntry, retryBatchId, writeRetryBatch } from "../../wire/retry-batch.ts";
import { streams } from "../../wire/streams.ts";
import { subjects } from "../../wire/subjects.ts";
import { decodeRow } from "../jobs/stored-job.ts";
import { type RegistryStore, storedState } from "../store/contract.ts";
import type { Letter } from "./letter.ts";

/** What became of dead executions that were to be called again. */
export interface Redriven {
  redriven: number;
  skippedPaused: number;
  skippedDeleted: number;
}

/**
 * Has the executions of these letters called again. Rejects when the broker does not take them: those that it has
 * taken are called, and each of the others has its letter still.
 */
export type Redrive = (letters: readonly Letter[]) => Promise<Redriven>;

// Of one message of RETRY, as executors fill theirs. A state of a job has up to 150 KB: so many are held at once.
const maxEntries = 100;
const maxBytes = 256 * 1024;
const timeoutMs = 5_000;

interface Redriving {
  letter: Letter;
  entry: RetryEntry;
}

export function createRedriver(
  broker: Broker,
  deps: { store: Pick<RegistryStore, "findStates">; clock: Clock; log: Log },
): Redrive {
  const { store, clock, log } = deps;

  const entryOf = ({ executionId, result }: Letter, job: Job): RetryEntry => {
    const { second, run, attempt } = result;
    const nowMs = clock.nowMs();
    return {
      entry: writeDueEntry(dueEntryOf(job, run === "" ? undefined : { executionId })),
      executionId,
      second,
      attempt: attempt + 1,
      notBeforeMs: nowMs,
      redrive: { atMs: nowMs, attemptsBefore: attempt },
    };
  };

  const publish = async (batch: readonly Redriving[]) => {
    const subject = subjects.retry(partitionOf(batch[0]?.letter.result.jobId ?? ""));
    const payload = writeRetryBatch(batch.map(({ entry }) => entry));
    // By the letters: a letter that is redriven twice is stored once, if it was not removed and they gathered alike.
    // One that came back after it was redriven is another letter.
    const msgID = retryBatchId(batch.map(({ letter }) => `${letter.executionId}:${letter.sequence}`));
    await askBroker(broker, () => broker.js.publish(subject, payload, { msgID, timeout: timeoutMs }));
  };

  const remove = async ({ letter: { sequence, executionId } }: Redriving) => {
    const removed = await removeStored(broker, streams.dead, sequence);
    // It was too old by now, or had to make room.
    if (!removed) log.info({ event: "dead_letter_gone", executionId, sequence });
  };

  return async (letters) => {
    const counts: Redriven = { redriven: 0, skippedPaused: 0, skippedDeleted: 0 };
    let batch: Redriving[] = [];
    let bytes = 0;

    // Publish, then remove: who dies in between has them called twice, and loses none.
    const flush = async () => {
      if (batch.length === 0) return;
      const gathered = batch;
      batch = [];
      bytes = 0;
      await publish(gathered);
      await Promise.all(gathered.map(remove));
      counts.redriven += gathered.length;
    };

    for (let start = 0; start < letters.length; start += maxEntries) {
      const group = letters.slice(start, start + maxEntries);
      const jobs = await jobsOf(store, group);
      for (const letter of group) {
        const job = jobs.get(letter.result.jobId);
        if (job === undefined) counts.skippedDeleted++;
        else if (job === "paused") counts.skippedPaused++;
        else {
          const entry = entryOf(letter, job);
          batch.push({ letter, entry });
          bytes += entry.entry.length;
          if (batch.length >= maxEntries || bytes >= maxBytes) await flush();
        }
      }
      await flush();
    }
    return counts;
  };
}

/** The newest definitions of the jobs that may be called; a deleted one has none. */
async function jobsOf(
  store: Pick<RegistryStore, "findStates">,
  letters: readonly Letter[],
): Promise<ReadonlyMap<string, Job | "paused">> {
  const jobIds = [...new Set(letters.map(({ result }) => result.jobId))];
  const jobs = new Map<string, Job | "paused">();
  for (const row of await store.findStates(jobIds)) {
    if (!row || row.state === storedState.deleted) continue;
    jobs.set(row.jobId, row.state === storedState.paused ? "paused" : decodeRow(row).job);
  }
  return jobs;
}
