import { partitionOf } from "../../domain/identity/partition.ts";
import { createBatchPublisher } from "../../platform/jetstream/batch-publisher.ts";
import type { BatchMessage, Publisher, PublishOutcome } from "../../platform/jetstream/publisher.ts";
import type { Clock } from "../../platform/process/clock.ts";
import type { Startable } from "../../platform/process/lifecycle.ts";
import type { Log } from "../../platform/process/log.ts";
import { jobEventId } from "../../wire/job-event.ts";
import { subjects } from "../../wire/subjects.ts";
import { type JobRow, storedState } from "../store/job-rows.ts";
import { lanes } from "../store/outbox-rows.ts";
import type { Store } from "../store/store.ts";
import type { StreamMark } from "../store/stream-mark.ts";
import { encodeJobEvent } from "./job-event.ts";
import type { Publications } from "./publications.ts";
import { createRelayLedger } from "./relay-ledger.ts";
import { createRelayQueue, type RebuildPage, type RelayTask } from "./relay-queue.ts";

/** What the broker says of the JOBS stream. */
export interface StreamState {
  created: string;
  lastSequence: number;
  messages: number;
  /** Whether it takes batches that are stored as one. */
  atomicBatches: boolean;
}

/**
 * Publishes what the outbox holds and removes it after the broker's
 * acknowledgement: a crash in between publishes again, under the same message id.
 *
 * Per job one message is under way at a time, so that a message sent again can
 * never overtake a newer one. What is published is the job's state of that
 * moment: changes that waited together go out as one.
 *
 * A change goes out at once. Created jobs gather while others are under way, and
 * go out together: a lone one does not wait, a bulk load does not cost an fsync a job.
 */
export interface Relay extends Startable {
  /**
   * Asks for the state of JOBS and fills the stream anew when it is not the one
   * that was published to, is empty or has lost its end.
   */
  checkStream(ask: () => Promise<StreamState>): Promise<void>;
}

// What may be under way at once, and what may wait for its acknowledgement to be written down.
const window = 2_048;
// So many go out though others are under way: a whole batch.
const gatheredAtMost = 500;
const retryDelayMs = 1_000;
// Whoever follows JOBS has seen a deletion by then, and no due event of the job waits any more.
const tombstoneSeconds = 7 * 24 * 3_600;

export function createRelay(
  store: Store,
  publisher: Publisher,
  publications: Publications,
  deps: { clock: Clock; log: Log },
): Relay {
  const { clock, log } = deps;
  const queue = createRelayQueue(store);
  const batches = createBatchPublisher(publisher);
  /** The jobs under way, each with what has to follow. */
  const underWay = new Map<string, RelayTask | undefined>();
  const timers = new Set<() => void>();
  let gathered: RelayTask[] = [];
  /** States that went out and are not answered. */
  let unanswered = 0;
  /** Taken from the queue and not written down. */
  let open = 0;
  let mark: StreamMark | undefined;
  let page: RebuildPage | undefined;
  let atomicBatches = false;
  let running = false;
  let endListening: (() => void) | undefined;

  const later = (delayMs: number, callback: () => void) => {
    const cancel = clock.after(delayMs, () => {
      timers.delete(cancel);
      callback();
    });
    timers.add(cancel);
  };

  const ledger = createRelayLedger(store, deps, {
    rebuiltUpTo: () => mark?.rebuiltUpTo,
    onWritten(settlements) {
      for (const { task } of settlements) release(task);
      pump();
    },
  });

  const pump = () => {
    while (running) {
      const task = open < window ? (queue.take() ?? nextOfRebuild()) : queue.takeChange();
      if (!task) break;
      open++;
      if (task.run) publishRun(task, task.run);
      else if (underWay.has(task.jobId)) park(task);
      else stage(task);
    }
    flush();
  };

  const nextOfRebuild = (): RelayTask | undefined => {
    if (mark?.rebuiltUpTo === undefined || (page && page.left > 0)) return undefined;
    const next = queue.nextRebuildPage(mark.rebuiltUpTo);
    if (next === "end") {
      log.info({ event: "jobs_stream_rebuilt", epoch: mark.epoch });
      page = undefined;
      mark = { ...mark, rebuiltUpTo: undefined };
      ledger.noteRebuild();
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
    // Its predecessor may be acknowledged already.
    ledger.hurry();
  };

  const publishRun = (task: RelayTask, run: NonNullable<RelayTask["run"]>) => {
    const subject = subjects.due(partitionOf(task.jobId));
    publisher.publish(subject, run.payload, { messageId: run.executionId }).then((outcome) => {
      if (stored(outcome, subject, () => publishRun(task, run))) ledger.add({ task });
    });
  };

  const stage = (task: RelayTask) => {
    underWay.set(task.jobId, undefined);
    if (task.keys.some(({ lane }) => lane === lanes.change)) publishStates([task]);
    else gathered.push(task);
  };

  const flush = () => {
    if (gathered.length === 0 || (unanswered > 0 && gathered.length < gatheredAtMost)) return;
    const tasks = gathered;
    gathered = [];
    publishStates(tasks);
  };

  const publishStates = (tasks: readonly RelayTask[]) => {
    const epoch = mark?.epoch ?? 0;
    const states: { task: RelayTask; row: JobRow; message: BatchMessage }[] = [];
    for (const task of tasks) {
      const row = store.jobs.getAny(task.jobId);
      if (row) states.push({ task, row, message: messageOf(row, epoch) });
      // Deleted, and its tombstone published, since this task was made.
      else ledger.add({ task });
    }
    unanswered += states.length;
    const outcomes = batches.publish(
      states.map(({ message }) => message),
      atomicBatches,
    );
    for (const [index, { task, row, message }] of states.entries()) {
      void outcomes[index]?.then((outcome) => {
        unanswered--;
        settleState(task, row, message.subject, epoch, outcome);
        flush();
      });
    }
  };

  const settleState = (task: RelayTask, row: JobRow, subject: string, epoch: number, outcome: PublishOutcome) => {
    if (!stored(outcome, subject, () => publishStates([task]))) return;
    const { timingGeneration } = row;
    const deleted = row.state === storedState.deleted;
    publications.published(row.jobId, row.generation);
    ledger.add({ task, state: { timingGeneration, deleted, sequence: outcome.sequence, epoch } });
    if (underWay.get(row.jobId)) ledger.hurry();
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

  const release = (task: RelayTask) => {
    open--;
    if (task.page) task.page.left--;
    if (mark && page && task.page === page && page.left === 0) mark = { ...mark, rebuiltUpTo: page.lastJobId };
    if (task.run) return;
    const parked = underWay.get(task.jobId);
    underWay.delete(task.jobId);
    if (parked && running) stage(parked);
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
      ({ atomicBatches } = state);
      const reason = reasonToRebuild(before, state, store.jobs.list("", 1).length > 0);
      if (reason) await beginRebuild(state, reason);
    },
    async start() {
      if (running) return;
      running = true;
      mark = store.streamMarks.read();
      ledger.start();
      endListening = store.onCommitted(pump);
      pump();
    },
    async stop() {
      running = false;
      endListening?.();
      for (const cancel of timers) cancel();
      timers.clear();
      await ledger.stop();
    },
  };
}

function messageOf(row: JobRow, epoch: number): BatchMessage {
  return {
    subject: subjects.job(partitionOf(row.jobId), row.jobId),
    payload: encodeJobEvent(row, epoch),
    messageId: jobEventId(row.jobId, row.generation, epoch),
    ...(row.state === storedState.deleted && { ttlSeconds: tombstoneSeconds }),
  };
}

function reasonToRebuild(known: StreamMark, state: StreamState, hasJobs: boolean): string | undefined {
  if (state.created !== known.created) return known.created === "" ? "first stream" : "another stream";
  if (state.lastSequence < known.sequence) return "lost its end";
  // While it is being filled it may be empty for a moment.
  if (state.messages === 0 && known.sequence > 0 && hasJobs && known.rebuiltUpTo === undefined) return "empty";
  return undefined;
}
