import { type BatchPublisher, createBatchPublisher } from "../../platform/jetstream/batch-publisher.ts";
import type { BatchMessage, Publisher } from "../../platform/jetstream/publisher.ts";
import type { Clock } from "../../platform/process/clock.ts";
import type { Startable } from "../../platform/process/lifecycle.ts";
import type { Log } from "../../platform/process/log.ts";
import { type LaneKind, laneOf } from "../../wire/lane.ts";
import { type RetryEntry, retryBatchId, retryName, writeRetryBatch } from "../../wire/retry-batch.ts";
import { subjects } from "../../wire/subjects.ts";
import type { Attempt } from "../calls/attempt.ts";

/** Moves attempts to the lanes of their origins, where they wait until those have room. */
export interface LanePublisher extends Startable {
  /** `onStored(true)` once the broker keeps it; false when it refused it. */
  add(attempt: Attempt, kind: LaneKind, onStored: (stored: boolean) => void): void;
  /** Attempts that the broker has not stored yet. */
  pending(): number;
  flush(): void;
}

// A message is in work until its last entry is settled: those of a target that hangs are few at a time.
const maxEntries = 100;
const maxBytes = 64 * 1024;
// What is moved is late anyway: many lanes share an fsync.
const gatherMs = 20;
const maxGathered = 5_000;

interface Waiting {
  entry: RetryEntry;
  name: string;
  onStored: (stored: boolean) => void;
}

/**
 * `onMoved` hears of each lane that has something in it now, `onMessage` of each message that goes into one, `onPut` and
 * `onAnswered` of the bytes of attempts: when they are gathered, since thousands are at once, and when the broker has
 * answered. `atomic` tells whether LANES takes whole batches.
 */
export function createLanePublisher(
  publisher: Publisher,
  deps: {
    clock: Clock;
    log: Log;
    onMoved: (lane: string) => void;
    onMessage: (lane: string, bytes: number) => void;
    onPut: (lane: string, bytes: number) => void;
    onAnswered: (lane: string, bytes: number) => void;
    atomic: () => boolean;
  },
): LanePublisher {
  const { clock, log } = deps;
  const batches: BatchPublisher = createBatchPublisher(publisher);
  const lanes = new Map<string, { name: string; waiting: Waiting[] }>();
  let gathered = 0;
  let unstored = 0;
  let cancelTimer: (() => void) | undefined;

  const flush = () => {
    cancelTimer?.();
    cancelTimer = undefined;
    if (gathered === 0) return;
    gathered = 0;
    const messages: BatchMessage[] = [];
    const whoseOf: { lane: string; batch: readonly Waiting[] }[] = [];
    for (const { name: lane, waiting } of lanes.values()) {
      for (const batch of batchesOf(waiting)) {
        const payload = writeRetryBatch(batch.map(({ entry }) => entry));
        deps.onMessage(lane, payload.length);
        messages.push({
          subject: subjects.lane(lane),
          payload,
          messageId: retryBatchId([lane, ...batch.map(({ name }) => name)]),
        });
        whoseOf.push({ lane, batch });
      }
    }
    lanes.clear();
    for (const [index, report] of batches.publish(messages, deps.atomic()).entries()) {
      const { lane = "", batch = [] } = whoseOf[index] ?? {};
      void report.then((answer) => {
        unstored -= batch.length;
        deps.onAnswered(lane, bytesOf(batch));
        if (answer.kind === "abandoned") return;
        if (answer.kind === "refused") log.error({ event: "lane_refused", lane, entries: batch.length, ...answer });
        else deps.onMoved(lane);
        for (const { onStored } of batch) onStored(answer.kind === "stored");
      });
    }
  };

  return {
    add(attempt, kind, onStored) {
      const { call, executionId, second, number, redrive } = attempt;
      const key = `${kind} ${call.origin}`;
      let lane = lanes.get(key);
      if (!lane) {
        lane = { name: laneOf(call.origin, kind), waiting: [] };
        lanes.set(key, lane);
      }
      const entry = { entry: call.entry, executionId, second, attempt: number, notBeforeMs: 0, redrive };
      // What was moved before may have been in this lane, and must not be taken for a repeat of that.
      const name = attempt.moved ? `${retryName(entry)}:${clock.nowMs()}` : retryName(entry);
      lane.waiting.push({ entry, name, onStored });
      deps.onPut(lane.name, entry.entry.length);
      unstored++;
      if (++gathered >= maxGathered) flush();
      else cancelTimer ??= clock.after(gatherMs, flush);
    },
    pending: () => unstored,
    flush,
    async start() {},
    async stop() {
      flush();
    },
  };
}

function bytesOf(batch: readonly Waiting[]): number {
  return batch.reduce((sum, { entry }) => sum + entry.entry.length, 0);
}

function batchesOf(waiting: readonly Waiting[]): Waiting[][] {
  const batches: Waiting[][] = [];
  let bytes = 0;
  for (const one of waiting) {
    const last = batches.at(-1);
    bytes += one.entry.entry.length;
    if (last && last.length < maxEntries && bytes <= maxBytes) {
      last.push(one);
    } else {
      batches.push([one]);
      bytes = one.entry.entry.length;
    }
  }
  return batches;
}
