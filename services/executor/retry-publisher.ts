import { createHash } from "node:crypto";
import { create, toBinary } from "@bufbuild/protobuf";
import { RetryBatchSchema, type RetryEntry, RetryEntrySchema } from "../../gen/carillon/v1/events_pb.ts";
import { partitionOf } from "../domain/partition.ts";
import type { Clock } from "../platform/clock.ts";
import type { Publisher } from "../platform/jetstream/publisher.ts";
import type { Startable } from "../platform/lifecycle.ts";
import type { Log } from "../platform/log.ts";
import { subjects } from "../wire/subjects.ts";
import type { Attempt } from "./attempt.ts";

/** Moves failed attempts to the RETRY lane. */
export interface RetryPublisher extends Startable {
  /** `onStored(true)` once the broker keeps the retry; false when it refused it. */
  add(attempt: Attempt, notBeforeMs: number, onStored: (stored: boolean) => void): void;
  /** Retries that the broker has not stored yet. */
  pending(): number;
  flush(): void;
}

const maxEntries = 100;
const maxBytes = 256 * 1024;
const gatherMs = 10;
// A message is held by an executor until its last entry is made: those in it must be due about together.
const widestSpanMs = 5_000;

interface Waiting {
  entry: RetryEntry;
  onStored: (stored: boolean) => void;
}

/**
 * Retries of all partitions share messages, on the subject of their first
 * entry: a failing target would otherwise cost the broker an fsync an attempt.
 */
export function createRetryPublisher(publisher: Publisher, deps: { clock: Clock; log: Log }): RetryPublisher {
  let waiting: Waiting[] = [];
  let bytes = 0;
  let unstored = 0;
  let cancelTimer: (() => void) | undefined;

  const publish = (batch: Waiting[]) => {
    const entries = batch.map(({ entry }) => entry);
    const jobId = entries[0]?.executionId.split("-")[0] ?? "";
    const payload = toBinary(RetryBatchSchema, create(RetryBatchSchema, { entries }));
    void publisher
      .publish(subjects.retry(partitionOf(jobId)), payload, { messageId: messageIdOf(entries) })
      .then((outcome) => {
        unstored -= batch.length;
        if (outcome.kind === "abandoned") return;
        if (outcome.kind === "refused") deps.log.error({ event: "retries_refused", entries: batch.length, ...outcome });
        for (const { onStored } of batch) onStored(outcome.kind === "stored");
      });
  };

  const flush = () => {
    cancelTimer?.();
    cancelTimer = undefined;
    const gathered = waiting.sort((a, b) => Number(a.entry.notBeforeMs - b.entry.notBeforeMs));
    waiting = [];
    bytes = 0;
    let batch: Waiting[] = [];
    for (const one of gathered) {
      const first = batch[0];
      if (first && Number(one.entry.notBeforeMs - first.entry.notBeforeMs) > widestSpanMs) {
        publish(batch);
        batch = [];
      }
      batch.push(one);
    }
    if (batch.length > 0) publish(batch);
  };

  return {
    add(attempt, notBeforeMs, onStored) {
      const entry = create(RetryEntrySchema, {
        entry: attempt.call.entry,
        executionId: attempt.executionId,
        second: BigInt(attempt.second),
        attempt: attempt.number + 1,
        notBeforeMs: BigInt(notBeforeMs),
      });
      unstored++;
      bytes += attempt.call.entry.length;
      if (waiting.push({ entry, onStored }) >= maxEntries || bytes >= maxBytes) flush();
      else cancelTimer ??= deps.clock.after(gatherMs, flush);
    },
    pending: () => unstored,
    flush,
    async start() {},
    async stop() {
      flush();
    },
  };
}

/** The same attempts make the same id: a retry that two executors publish is stored once, if they gathered it alike. */
function messageIdOf(entries: readonly RetryEntry[]): string {
  const hash = createHash("sha256");
  for (const entry of entries) hash.update(`${entry.executionId}:${entry.attempt}\n`);
  return `t-${hash.digest("base64url").slice(0, 27)}`;
}
