import type { Clock } from "../../platform/process/clock.ts";
import type { Log } from "../../platform/process/log.ts";
import type { Store } from "../store/store.ts";
import type { RelayTask } from "./relay-queue.ts";

/** Something that the broker keeps now, or that needs no publishing any more. */
export interface Settlement {
  task: RelayTask;
  /** The state that was published; left out for a run, and for a job that is gone. */
  state?: { timingGeneration: number; deleted: boolean; sequence: number; epoch: number };
}

/**
 * Writes down what the broker has acknowledged: removes it from the outbox and
 * notes its sequences. Many together, since a commit costs an fsync.
 */
export interface RelayLedger {
  add(settlement: Settlement): void;
  /** Writes at once what is there; somebody waits for it. */
  hurry(): void;
  /** Writes down soon how far the rebuild has come. */
  noteRebuild(): void;
  start(): void;
  /** Writes what is left; nothing is added afterwards. */
  stop(): Promise<void>;
}

const gatherMs = 20;
const settleAtOnce = 512;
const retryDelayMs = 1_000;

export function createRelayLedger(
  store: Store,
  deps: { clock: Clock; log: Log },
  rebuild: {
    /** Up to which job JOBS is filled anew; undefined when it is whole. */
    rebuiltUpTo(): string | undefined;
    /** They are written down. */
    onWritten(settlements: readonly Settlement[]): void;
  },
): RelayLedger {
  const { clock, log } = deps;
  let settlements: Settlement[] = [];
  let cancelTimer: (() => void) | undefined;
  let writing: Promise<void> | undefined;
  let running = false;

  const after = (delayMs: number) => {
    cancelTimer ??= clock.after(delayMs, () => void write());
  };

  const write = (): Promise<void> => {
    cancelTimer?.();
    cancelTimer = undefined;
    writing ??= (async () => {
      const batch = settlements;
      settlements = [];
      try {
        await store.commit(() => writeDown(batch), batch.length);
      } catch (error) {
        log.error({ event: "relay_settle_failed", err: error });
        settlements.push(...batch);
        if (running) after(retryDelayMs);
        return;
      } finally {
        writing = undefined;
      }
      rebuild.onWritten(batch);
      if (settlements.length > 0 && running) after(gatherMs);
    })();
    return writing;
  };

  const writeDown = (batch: readonly Settlement[]) => {
    const kept = store.streamMarks.read();
    let { sequence } = kept;
    for (const { task, state } of batch) {
      for (const key of task.keys) store.outbox.remove(key);
      if (!state) continue;
      if (state.deleted) store.jobs.remove(task.jobId);
      else store.jobs.recordTiming(task.jobId, state.timingGeneration, state.sequence, state.epoch);
      if (state.epoch === kept.epoch) sequence = Math.max(sequence, state.sequence);
    }
    const rebuiltUpTo = rebuild.rebuiltUpTo();
    if (sequence !== kept.sequence || rebuiltUpTo !== kept.rebuiltUpTo) {
      store.streamMarks.write({ ...kept, sequence, rebuiltUpTo });
    }
  };

  return {
    add(settlement) {
      if (!running) return;
      settlements.push(settlement);
      if (settlements.length >= settleAtOnce) void write();
      else after(gatherMs);
    },
    hurry() {
      if (settlements.length > 0) void write();
    },
    noteRebuild: () => after(gatherMs),
    start() {
      running = true;
    },
    async stop() {
      running = false;
      cancelTimer?.();
      cancelTimer = undefined;
      await writing;
      // What is not written down is published again by the next start.
      if (settlements.length > 0) await write();
    },
  };
}
