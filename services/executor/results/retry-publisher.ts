import { partitionOf } from "../../domain/identity/partition.ts";
import { streamFull } from "../../platform/jetstream/publish-answers.ts";
import type { Publisher, PublishReport } from "../../platform/jetstream/publisher.ts";
import type { Clock } from "../../platform/process/clock.ts";
import type { Startable } from "../../platform/process/lifecycle.ts";
import type { Log } from "../../platform/process/log.ts";
import { type RetryEntry, retryBatchId, retryName, writeRetryBatch } from "../../wire/retry-batch.ts";
import { subjects } from "../../wire/subjects.ts";
import type { Attempt } from "../calls/attempt.ts";

/** Whether the broker keeps a retry; there may be no room for it. */
export type RetryAnswer = "stored" | "refused" | "full";

/** Puts into RETRY what is to be tried later. */
export interface RetryPublisher extends Startable {
  /** The attempt after one that failed. */
  add(attempt: Attempt, notBeforeMs: number, onAnswer: (answer: RetryAnswer) => void): void;
  /** Retries that the broker has not stored yet. */
  pending(): number;
  flush(): void;
}

const maxEntries = 100;
const maxBytes = 256 * 1024;
const gatherMs = 10;
// A message is held by an executor until its last entry is made: those in it must be due about
// together. The longer they wait, the less exactly, so that long waits do not cost a message each; but what one target has
// wait for hours must not lie in memory for long in the end, where there is little room for the retries of all.
const narrowestSpanMs = 5_000;
const widestSpanMs = 60_000;
const spanOfWait = 0.1;

interface Waiting {
  jobId: string;
  entry: RetryEntry;
  /** Of the message id. */
  name: string;
  onAnswer: (answer: RetryAnswer) => void;
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
    const subject = subjects.retry(partitionOf(batch[0]?.jobId ?? ""));
    const payload = writeRetryBatch(batch.map(({ entry }) => entry));
    const messageId = retryBatchId(batch.map(({ name }) => name));
    void publisher.publish(subject, payload, { messageId, unlessFull: true }).then((answer) => {
      unstored -= batch.length;
      if (answer.kind === "abandoned") return;
      if (answerOf(answer) === "refused")
        deps.log.error({ event: "retries_refused", entries: batch.length, ...answer });
      for (const { onAnswer } of batch) onAnswer(answerOf(answer));
    });
  };

  const flush = () => {
    cancelTimer?.();
    cancelTimer = undefined;
    const gathered = waiting.sort((a, b) => a.entry.notBeforeMs - b.entry.notBeforeMs);
    waiting = [];
    bytes = 0;
    const nowMs = deps.clock.nowMs();
    let batch: Waiting[] = [];
    for (const one of gathered) {
      const firstMs = batch[0]?.entry.notBeforeMs ?? one.entry.notBeforeMs;
      const spanMs = Math.min(widestSpanMs, Math.max(narrowestSpanMs, (firstMs - nowMs) * spanOfWait));
      if (one.entry.notBeforeMs - firstMs > spanMs) {
        publish(batch);
        batch = [];
      }
      batch.push(one);
    }
    if (batch.length > 0) publish(batch);
  };

  const gather = (one: Waiting) => {
    unstored++;
    bytes += one.entry.entry.length;
    if (waiting.push(one) >= maxEntries || bytes >= maxBytes) flush();
    else cancelTimer ??= deps.clock.after(gatherMs, flush);
  };

  return {
    add(attempt, notBeforeMs, onAnswer) {
      const { call, executionId, second, number, redrive } = attempt;
      const entry = { entry: call.entry, executionId, second, attempt: number + 1, notBeforeMs, redrive };
      gather({ jobId: call.jobId, entry, name: retryName(entry), onAnswer });
    },
    pending: () => unstored,
    flush,
    async start() {},
    async stop() {
      flush();
    },
  };
}

function answerOf(report: Exclude<PublishReport, { kind: "abandoned" }>): RetryAnswer {
  if (report.kind === "stored") return "stored";
  return report.code === streamFull ? "full" : "refused";
}
