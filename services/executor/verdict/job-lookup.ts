import pLimit from "p-limit";
import { partitionOf } from "../../domain/identity/partition.ts";
import type { Broker } from "../../platform/jetstream/broker.ts";
import { lastMessage } from "../../platform/jetstream/last-message.ts";
import { createPatience } from "../../platform/jetstream/patience.ts";
import type { Clock } from "../../platform/process/clock.ts";
import type { Log } from "../../platform/process/log.ts";
import { streams } from "../../wire/streams.ts";
import { lastMessageOf, subjects } from "../../wire/subjects.ts";
import type { JobStates } from "./job-states.ts";

/**
 * Reads the last state of jobs from JOBS, for occurrences that were published
 * before this executor followed the changes.
 */
export interface JobLookup {
  /** Afterwards the states know these jobs, as far as JOBS could tell. False when it did not answer for all of them. */
  learn(jobIds: Iterable<string>): Promise<boolean>;
}

const maxReads = 32;
// Enough for the jobs of a backlog; they are read again when they are forgotten.
const maxRead = 200_000;
// That of a held batch; as long as history gets. Twice, where the first one that is asked does not answer.
const timeoutMs = 1_000;
const noMessage = 404;

export function createJobLookup(broker: Broker, states: JobStates, deps: { clock: Clock; log: Log }): JobLookup {
  const { clock, log } = deps;
  const limit = pLimit(maxReads);
  const patience = createPatience(clock, timeoutMs);
  /** By job, when its last state was read. */
  const readAtMs = new Map<string, number>();
  const underWay = new Map<string, Promise<boolean>>();

  /** What was read need not be read again as long as no change that came since is forgotten. */
  const isKnown = (jobId: string) => (readAtMs.get(jobId) ?? Number.NEGATIVE_INFINITY) >= states.completeSinceMs();

  const askAny = async (subject: string): Promise<Uint8Array | undefined> => {
    const message = await broker.nc.request(lastMessageOf(streams.jobs, subject), undefined, { timeout: timeoutMs });
    const code = message.headers?.code ?? 0;
    if (code !== 0 && code !== noMessage) throw new Error(`JOBS answered ${code} ${message.headers?.description}`);
    return code === 0 ? message.data : undefined;
  };
  const askLeader = async (subject: string) =>
    (await patience.within(lastMessage(broker, streams.jobs, subject)))?.data;

  const read = async (jobId: string) => {
    const askedAtMs = clock.nowMs();
    try {
      const subject = subjects.job(partitionOf(jobId), jobId);
      // Any broker that has a copy may be asked, also one that hangs: then the one that leads.
      const data = await askAny(subject).catch(() => askLeader(subject));
      if (data) states.noteRead(jobId, data);
      if (readAtMs.size >= maxRead) readAtMs.clear();
      readAtMs.set(jobId, askedAtMs);
      return true;
    } catch (error) {
      log.warn({ event: "job_state_not_read", jobId, err: error });
      return false;
    } finally {
      underWay.delete(jobId);
    }
  };

  return {
    async learn(jobIds) {
      const reads: Promise<boolean>[] = [];
      for (const jobId of jobIds) {
        if (isKnown(jobId)) continue;
        let reading = underWay.get(jobId);
        if (!reading) {
          reading = limit(() => read(jobId));
          underWay.set(jobId, reading);
        }
        reads.push(reading);
      }
      return (await Promise.all(reads)).every((read) => read);
    },
  };
}
