import { createHash } from "node:crypto";
import { create, toBinary } from "@bufbuild/protobuf";
import { RetryBatchSchema, type RetryEntry, RetryEntrySchema } from "../../../gen/carillon/v1/events_pb.ts";
import { parseExecutionId } from "../../domain/identity/execution-id.ts";
import { partitionOf } from "../../domain/identity/partition.ts";
import type { Publisher } from "../../platform/jetstream/publisher.ts";
import type { Clock } from "../../platform/process/clock.ts";
import type { Startable } from "../../platform/process/lifecycle.ts";
import type { Log } from "../../platform/process/log.ts";
import { subjects } from "../../wire/subjects.ts";
import type { Attempt } from "../calls/attempt.ts";

/** Moves to the RETRY lane what is to be tried later. */
export interface RetryPublisher extends Startable {
  /** The attempt after one that failed. `onStored(true)` once the broker keeps it; false when it refused it. */
  add(attempt: Attempt, notBeforeMs: number, onStored: (stored: boolean) => void): void;
  /** The attempt itself, which was not made. */
  park(attempt: Attempt, notBeforeMs: number, onStored: (stored: boolean) => void): void;
  /** Retries that the broker has not stored yet. */
  pending(): number;
  flush(): void;
}

const maxEntries = 100;
const maxBytes = 256 * 1024;
const gatherMs = 10;
// A message is held by an executor until its last entry is made: those in it must be due about
// together. The longer they wait, the less exactly, so that long waits do not cost a message each.
const narrowestSpanMs = 5_000;
const spanOfWait = 0.1;

interface Waiting {
  entry: RetryEntry;
  /** Of the message id. */
  name: string;
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
    const jobId = parseExecutionId(entries[0]?.executionId ?? "")?.jobId ?? "";
    const payload = toBinary(RetryBatchSchema, create(RetryBatchSchema, { entries }));
    void publisher
      .publish(subjects.retry(partitionOf(jobId)), payload, { messageId: messageIdOf(batch) })
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
    const nowMs = deps.clock.nowMs();
    let batch: Waiting[] = [];
    for (const one of gathered) {
      const firstMs = Number(batch[0]?.entry.notBeforeMs ?? one.entry.notBeforeMs);
      const spanMs = Math.max(narrowestSpanMs, (firstMs - nowMs) * spanOfWait);
      if (Number(one.entry.notBeforeMs) - firstMs > spanMs) {
        publish(batch);
        batch = [];
      }
      batch.push(one);
    }
    if (batch.length > 0) publish(batch);
  };

  const gather = (
    attempt: Attempt,
    number: number,
    notBeforeMs: number,
    name: string,
    onStored: Waiting["onStored"],
  ) => {
    const entry = create(RetryEntrySchema, {
      entry: attempt.call.entry,
      executionId: attempt.executionId,
      second: BigInt(attempt.second),
      attempt: number,
      notBeforeMs: BigInt(notBeforeMs),
    });
    unstored++;
    bytes += attempt.call.entry.length;
    if (waiting.push({ entry, name, onStored }) >= maxEntries || bytes >= maxBytes) flush();
    else cancelTimer ??= deps.clock.after(gatherMs, flush);
  };

  return {
    add(attempt, notBeforeMs, onStored) {
      const number = attempt.number + 1;
      gather(attempt, number, notBeforeMs, `${attempt.executionId}:${number}`, onStored);
    },
    park(attempt, notBeforeMs, onStored) {
      // It may be parked again: under the same name the broker would take that for a repeat, and drop it.
      const name = `${attempt.executionId}:${attempt.number}:${notBeforeMs}`;
      gather(attempt, attempt.number, notBeforeMs, name, onStored);
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
function messageIdOf(batch: readonly Waiting[]): string {
  const hash = createHash("sha256");
  for (const { name } of batch) hash.update(`${name}\n`);
  return `t-${hash.digest("base64url").slice(0, 27)}`;
}
