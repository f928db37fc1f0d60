import { partitionOf } from "../domain/partition.ts";
import type { Clock } from "../platform/clock.ts";
import type { Publisher, PublishOutcome } from "../platform/jetstream/publisher.ts";
import type { Startable } from "../platform/lifecycle.ts";
import type { Log } from "../platform/log.ts";
import { subjects } from "../wire/subjects.ts";
import { encodeJobEvent } from "./job-event.ts";
import { createRelayQueue, type RebuildPage, type RelayTask } from "./relay-queue.ts";
import { storedState } from "./store/job-rows.ts";
import type { Store } from "./store/store.ts";
import type { StreamMark } from "./store/stream-mark.ts";

/** What the broker says of the JOBS stream. */
export interface StreamState {
  created: string;
  lastSequence: number;
  messages: number;
}

/**
 * Publishes what the outbox holds and removes it after the broker's
 * acknowledgement: a crash in between publishes again, under the same message id.
 *
 * Per job one message is under way at a time, so that a message sent again can
 * never overtake a newer one. What is published is the job's state of that
 * moment: changes that waited together go out as one.
 */
export interface Relay extends Startable {
  /**
   * Asks for the state of JOBS and fills the stream anew when it is not the one
   * that was published to, is empty or has lost its end.
   */
  checkStream(ask: () => Promise<StreamState>): Promise<void>;
}

interface Settlement {
  task: RelayTask;
  /** The state that was published; left out for a run, and for a job that is gone. */
  state?: { timingGeneration: number; deleted: boolean; sequence: number; epoch: number };
}

// What may be under way at once, and what may wait for its acknowledgement to be written down.
const window = 512;
// Acknowledgements are written down together: a commit costs an fsync.
const settleDelayMs = 20;
const settleAtOnce = 256;
const retryDelayMs = 1_000;

export function createRelay(store: Store, publisher: Publisher, deps: { clock: Clock; log: Log }): Relay {
  const { clock, log } = deps;
  const queue = createRelayQueue(store);
  /** The jobs under way, each with what has to follow. */
  const underWay = new Map<string, RelayTask | undefined>();
  const timers = new Set<() => void>();
  let settlements: Settlement[] = [];
  let settleScheduled = false;
  let settling: Promise<void> | undefined;
  /** Taken from the queue and not settled. */
  let open = 0;
  let mark: StreamMark | undefined;
  let page: RebuildPage | undefined;
  let running = false;
  let endListening: (() => void) | undefined;

  const later = (delayMs: number, callback: () => void) => {
    const cancel = clock.after(delayMs, () => {
      timers.delete(cancel);
      callback();
    });
    timers.add(cancel);
  };

  const pump = () => {
    while (running && open < window) {
      const task = queue.take() ?? nextOfRebuild();
      if (!task) return;
      open++;
      if (task.run) publishRun(task, task.run);
      else if (underWay.has(task.jobId)) park(task);
      else publishState(task);
    }
  };

  const nextOfRebuild = (): RelayTask | undefined => {
    if (mark?.rebuiltUpTo === undefined || (page && page.left > 0)) return undefined;
    const next = queue.nextRebuildPage(mark.rebuiltUpTo);
    if (next === "end") {
      log.info({ event: "jobs_stream_rebuilt", epoch: mark.epoch });
      page = undefined;
      mark = { ...mark, rebuiltUpTo: undefined };
      scheduleSettle();
      return undefined;
    }
    page = next;
    const task = queue.take();
    if (!task) {
      // All of these wait in the outbox. Others get their turn before the next page.
      mark = { ...mark, rebuiltUpTo: page.lastJobId };
      later(0, pump);
    }
    return task;
  };

  const park = (task: RelayTask) => {
    const parked = underWay.get(task.jobId);
    if (parked) {
      open--;
      parked.keys.push(...task.keys);
      parked.page ??= task.page;
    } else {
      underWay.set(task.jobId, task);
    }
    scheduleSettle();
  };

  const publishRun = (task: RelayTask, run: NonNullable<RelayTask["run"]>) => {
    const subject = subjects.due(partitionOf(task.jobId));
    publisher.publish(subject, run.payload, { messageId: run.executionId }).then((outcome) => {
      if (stored(outcome, subject, () => publishRun(task, run))) settleSoon({ task });
    });
  };

  const publishState = (task: RelayTask) => {
    const row = store.jobs.getAny(task.jobId);
    // Deleted, and its tombstone published, since this task was made.
    if (!row) return settleSoon({ task });
    underWay.set(task.jobId, underWay.get(task.jobId));
    const epoch = mark?.epoch ?? 0;
    const subject = subjects.job(partitionOf(row.jobId), row.jobId);
    // With the epoch in it, what fills a purged stream is not taken for a repeat.
    const messageId = `${row.jobId}:${row.generation}:${epoch}`;
    publisher.publish(subject, encodeJobEvent(row, epoch), { messageId }).then((outcome) => {
      if (!stored(outcome, subject, () => publishState(task))) return;
      const { timingGeneration } = row;
      const deleted = row.state === storedState.deleted;
      settleSoon({ task, state: { timingGeneration, deleted, sequence: outcome.sequence, epoch } });
    });
  };

  const stored = (
    outcome: PublishOutcome,
    subject: string,
    again: () => void,
  ): outcome is PublishOutcome & { kind: "stored" } => {
    if (outcome.kind === "refused") {
      // It must not be lost, whatever the broker has against it.
      log.error({ event: "relay_publish_refused", subject, code: outcome.code, description: outcome.description });
      later(retryDelayMs, () => running && again());
    }
    return outcome.kind === "stored";
  };

  const settleSoon = (settlement: Settlement) => {
    if (!running) return;
    settlements.push(settlement);
    scheduleSettle();
  };

  /** At once when there is much to write down, or when something waits for it. */
  const scheduleSettle = () => {
    const urgent = settlements.length >= settleAtOnce || settlements.some(({ task }) => underWay.get(task.jobId));
    if (urgent) void settle();
    else if (!settleScheduled) {
      settleScheduled = true;
      later(settleDelayMs, () => void settle());
    }
  };

  /** Writes down what is acknowledged, then lets go of it. */
  const settle = (): Promise<void> => {
    settling ??= (async () => {
      settleScheduled = false;
      const batch = settlements;
      settlements = [];
      try {
        await store.commit(() => writeDown(batch), batch.length);
      } catch (error) {
        log.error({ event: "relay_settle_failed", err: error });
        settlements.push(...batch);
        settleScheduled = true;
        later(retryDelayMs, () => void settle());
        return;
      } finally {
        settling = undefined;
      }
      for (const { task } of batch) release(task);
      if (settlements.length > 0) scheduleSettle();
      pump();
    })();
    return settling;
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
    const rebuiltUpTo = mark?.rebuiltUpTo;
    if (sequence !== kept.sequence || rebuiltUpTo !== kept.rebuiltUpTo) {
      store.streamMarks.write({ ...kept, sequence, rebuiltUpTo });
    }
  };

  const release = (task: RelayTask) => {
    open--;
    if (task.page) task.page.left--;
    if (mark && page && task.page === page && page.left === 0) mark = { ...mark, rebuiltUpTo: page.lastJobId };
    if (task.run) return;
    const parked = underWay.get(task.jobId);
    underWay.delete(task.jobId);
    if (parked && running) publishState(parked);
  };

  const beginRebuild = async (state: StreamState, reason: string) => {
    // A first stream that holds jobs already was filled by a registry whose data is gone: they fire, and nobody can stop them.
    const level = reason === "first stream" && state.messages === 0 ? "info" : "warn";
    log[level]({ event: "jobs_stream_rebuild", reason, created: state.created, messages: state.messages });
    queue.dropRebuildPage();
    page = undefined;
    await store.commit(() => {
      const { epoch } = store.streamMarks.read();
      const next = { epoch: epoch + 1, created: state.created, sequence: state.lastSequence, rebuiltUpTo: "" };
      store.streamMarks.write(next);
      // Here and not after the commit: a settlement in the same transaction writes what it finds.
      mark = next;
    });
    pump();
  };

  return {
    async checkStream(ask) {
      // Read before asking: what is acknowledged meanwhile must not look lost.
      const before = store.streamMarks.read();
      const state = await ask();
      const reason = reasonToRebuild(before, state, store.jobs.list("", 1).length > 0);
      if (reason) await beginRebuild(state, reason);
    },
    async start() {
      if (running) return;
      running = true;
      mark = store.streamMarks.read();
      endListening = store.onCommitted(pump);
      pump();
    },
    async stop() {
      running = false;
      endListening?.();
      for (const cancel of timers) cancel();
      timers.clear();
      await settling;
      // What is not written down is published again by the next start.
      if (settlements.length > 0) await settle();
    },
  };
}

function reasonToRebuild(known: StreamMark, state: StreamState, hasJobs: boolean): string | undefined {
  if (state.created !== known.created) return known.created === "" ? "first stream" : "another stream";
  if (state.lastSequence < known.sequence) return "lost its end";
  // While it is being filled it may be empty for a moment.
  if (state.messages === 0 && known.sequence > 0 && hasJobs && known.rebuiltUpTo === undefined) return "empty";
  return undefined;
}
