import { partitionOf } from "../../domain/identity/partition.ts";
import type { Broker } from "../../platform/jetstream/broker.ts";
import { createFollower } from "../../platform/jetstream/follower.ts";
import type { Clock } from "../../platform/process/clock.ts";
import type { Startable } from "../../platform/process/lifecycle.ts";
import type { Log } from "../../platform/process/log.ts";
import { streams } from "../../wire/streams.ts";
import { jobIdOfSubject, partitionOfSubject, subjects } from "../../wire/subjects.ts";
import type { JobChange } from "../core/job-change.ts";
import { createEntrySlab } from "./entry-slab.ts";
import { readJobChange } from "./job-change.ts";

export interface JobsReaderOptions {
  /** How many partitions there are, whoever owns them. */
  partitionCount: number;
  onChange: (followId: number, partition: number, sequence: number, change: JobChange) => void;
  /** Tells when the stream was made, before the first change, and again when another stream has replaced it. */
  onStream: (followId: number, createdMs: number) => void;
  /** All that JOBS holds for these partitions was handed over. Comes each time that the end is reached. */
  onEnd: (followId: number) => void;
}

/**
 * Reads JOBS for the owned partitions. Those that came together share one follower,
 * so that 64 start as fast as one. A follower passes over a partition that has left,
 * and ends with its last one.
 */
export interface JobsReader {
  follow(followId: number, partitions: readonly number[]): void;
  unfollow(followId: number, partition: number): void;
  stop(): Promise<void>;
}

export function createJobsReader(
  broker: Broker,
  deps: { clock: Clock; log: Log },
  options: JobsReaderOptions,
): JobsReader {
  const { log } = deps;
  const keep = createEntrySlab();
  const following = new Map<number, { partitions: Set<number>; follower: Startable }>();
  return {
    follow(followId, partitions) {
      const wanted = new Set(partitions);
      const follower = createFollower(broker, deps, {
        stream: streams.jobs,
        // One wildcard is cheaper for the broker than all partitions by name.
        subjects: wanted.size === options.partitionCount ? [subjects.jobs] : partitions.map(subjects.jobsOfPartition),
        from: "state",
        onMessage: (message) => {
          const partition = partitionOfSubject(message.subject);
          if (wanted.has(partition)) {
            const jobId = jobIdOfSubject(message.subject);
            const result =
              partitionOf(jobId) === partition
                ? readJobChange(jobId, message.data, message.seq, keep)
                : { ok: false as const, reason: `partition ${partition} is not the job's` };
            if (result.ok) options.onChange(followId, partition, message.seq, result.change);
            else {
              log.error({ event: "job_event_invalid", jobId, sequence: message.seq, reason: result.reason });
              // The job is no longer what it was, whatever it is now.
              options.onChange(followId, partition, message.seq, { kind: "gone", jobId });
            }
          }
          if (message.info.pending === 0) options.onEnd(followId);
        },
        onCaughtUp: () => options.onEnd(followId),
        onStream: (createdMs) => options.onStream(followId, createdMs),
      });
      following.set(followId, { partitions: wanted, follower });
      void follower.start();
    },
    unfollow(followId, partition) {
      const entry = following.get(followId);
      entry?.partitions.delete(partition);
      if (!entry || entry.partitions.size > 0) return;
      following.delete(followId);
      void entry.follower.stop();
    },
    async stop() {
      await Promise.all([...following.values()].map(({ follower }) => follower.stop()));
      following.clear();
    },
  };
}
