import { partitionOf } from "../../domain/identity/partition.ts";
import { createBatchPublisher } from "../../platform/jetstream/batch-publisher.ts";
import type { BatchMessage, Publisher, PublishReport } from "../../platform/jetstream/publisher.ts";
import { type Clock, sleep } from "../../platform/process/clock.ts";
import type { Log } from "../../platform/process/log.ts";
import { subjects } from "../../wire/subjects.ts";
import {
  type JobRow,
  lanes,
  type ManualRun,
  type PublishedState,
  type RegistryStore,
  storedState,
} from "../store/contract.ts";
import type { RelayReceipt, RelayTask } from "./relay-task.ts";
import { messageOfRow } from "./row-message.ts";

/**
 * Publishes tasks until the broker has them.
 *
 * Per job one message is under way at a time, from before its state is read
 * until its receipt is written: a message sent again can never overtake a newer
 * one, and what goes out later is at least as new. Tasks of a job that come
 * meanwhile wait, and go out as one.
 *
 * A change goes out at once, with those that were taken together with it. Created
 * jobs gather while others are under way, and go out together: a lone one does not
 * wait, a bulk load does not cost an fsync a job.
 */
export interface Sender {
  add(task: RelayTask): void;
  /** Sends the changes that were added, and what has gathered, unless that had better wait for more. */
  flush(): void;
  /** The task is done: its receipt is written. */
  release(task: RelayTask): void;
  /** Publishes once more what is under way: the stream that has it is gone. */
  sendAgain(tasks: readonly RelayTask[]): void;
  /** Tasks that are not released. */
  open(): number;
  /** Ignores acknowledgements that come later. */
  stop(): void;
}

// So many go out though others are under way: a whole batch.
const gatheredAtMost = 500;
const retryDelayMs = 1_000;
// Manual runs go to DUE. While that is full they wait for it, and must leave the publisher's window to JOBS.
const runsAtOnce = 64;

export interface SenderNeeds {
  /** Of the JOBS stream, as it is now. */
  stream(): { edition: number; atomicBatches: boolean };
  /** The broker keeps the job's state of this generation. */
  onPublished(jobId: string, generation: number, sequence: number): void;
  onReceipt(receipt: RelayReceipt): void;
  /** A task waits for the receipt of the one before it to be written. */
  onWaiting(): void;
}

export function createSender(
  store: Pick<RegistryStore, "findStates">,
  publisher: Publisher,
  needs: SenderNeeds,
  deps: { clock: Clock; log: Log },
): Sender {
  const { clock, log } = deps;
  const batches = createBatchPublisher(publisher);
  const stopping = new AbortController();
  /** The jobs under way, each with what has to follow. */
  const underWay = new Map<string, RelayTask | undefined>();
  let gathered: RelayTask[] = [];
  let changes: RelayTask[] = [];
  /** States that are being read or sent, and not answered. */
  let unanswered = 0;
  let open = 0;
  let runsSent = 0;
  const runsWaiting: { task: RelayTask; run: ManualRun }[] = [];

  const later = async (again: () => void) => {
    await sleep(clock, retryDelayMs, stopping.signal);
    if (!stopping.signal.aborted) again();
  };

  const waitBehind = (task: RelayTask) => {
    const waiting = underWay.get(task.jobId);
    if (waiting) {
      open--;
      waiting.keys = waiting.keys.concat(task.keys);
      // The later task's page is the one that is still counted.
      waiting.page = task.page ?? waiting.page;
    } else {
      underWay.set(task.jobId, task);
    }
    // The one before it may be acknowledged already.
    needs.onWaiting();
  };

  const stage = (task: RelayTask) => {
    underWay.set(task.jobId, undefined);
    if (task.keys.some(({ lane }) => lane === lanes.change)) changes.push(task);
    else gathered.push(task);
  };

  const flush = () => {
    const changed = changes;
    changes = [];
    sendStates(changed);
    if (gathered.length === 0 || (unanswered > 0 && gathered.length < gatheredAtMost)) return;
    const tasks = gathered;
    gathered = [];
    sendStates(tasks);
  };

  const sendStates = (tasks: readonly RelayTask[]) => {
    if (tasks.length === 0) return;
    unanswered += tasks.length;
    readAndSend(tasks).catch((error) => {
      unanswered -= tasks.length;
      if (stopping.signal.aborted) return;
      log.error({ event: "relay_read_failed", jobs: tasks.length, err: error });
      void later(() => sendStates(tasks));
    });
  };

  /** Rejects only before anything was sent. */
  const readAndSend = async (tasks: readonly RelayTask[]) => {
    const rows = await store.findStates(tasks.map(({ jobId }) => jobId));
    if (stopping.signal.aborted) return;
    const { edition, atomicBatches } = needs.stream();
    const gone: RelayTask[] = [];
    const states: { task: RelayTask; row: JobRow; message: BatchMessage }[] = [];
    for (const [index, task] of tasks.entries()) {
      const row = rows[index];
      if (row) states.push({ task, row, message: messageOfRow(row, edition) });
      else gone.push(task);
    }
    const messages = states.map(({ message }) => message);
    const reports = batches.publish(messages, atomicBatches);
    for (const [index, { task, row, message }] of states.entries()) {
      void reports[index]?.then((report) => {
        unanswered--;
        onStateAnswered(task, row, { subject: message.subject, edition }, report);
        flush();
      });
    }
    unanswered -= gone.length;
    // These jobs have no row any more: the receipt of their tombstone was written after the task was made.
    for (const task of gone) needs.onReceipt(receiptOf(task, undefined));
  };

  const onStateAnswered = (
    task: RelayTask,
    row: JobRow,
    sent: { subject: string; edition: number },
    report: PublishReport,
  ) => {
    if (!isStored(report, sent.subject, () => sendStates([task]))) return;
    const { jobId, generation, timingGeneration } = row;
    needs.onPublished(jobId, generation, report.sequence);
    const deleted = row.state === storedState.deleted;
    const published = { timingGeneration, deleted, sequence: report.sequence, edition: sent.edition };
    needs.onReceipt(receiptOf(task, published));
    if (underWay.get(jobId)) needs.onWaiting();
  };

  const sendRuns = () => {
    while (runsSent < runsAtOnce) {
      const next = runsWaiting.shift();
      if (!next) return;
      runsSent++;
      void sendRun(next.task, next.run);
    }
  };

  const sendRun = async (task: RelayTask, run: ManualRun) => {
    const subject = subjects.due(partitionOf(task.jobId));
    const report = await publisher.publish(subject, run.payload, { messageId: run.executionId });
    if (!isStored(report, subject, () => void sendRun(task, run))) return;
    runsSent--;
    sendRuns();
    needs.onReceipt(receiptOf(task, undefined));
  };

  const isStored = (
    report: PublishReport,
    subject: string,
    again: () => void,
  ): report is PublishReport & { kind: "stored" } => {
    if (report.kind === "refused") {
      // It must not be lost, whatever the broker has against it.
      log.error({ event: "relay_publish_refused", subject, code: report.code, description: report.description });
      void later(again);
    }
    return report.kind === "stored";
  };

  return {
    add(task) {
      open++;
      if (task.run) {
        runsWaiting.push({ task, run: task.run });
        sendRuns();
      } else if (underWay.has(task.jobId)) waitBehind(task);
      else stage(task);
    },
    flush,
    release(task) {
      open--;
      if (task.run) return;
      const waiting = underWay.get(task.jobId);
      underWay.delete(task.jobId);
      if (waiting && !stopping.signal.aborted) stage(waiting);
    },
    sendAgain: sendStates,
    open: () => open,
    stop: () => stopping.abort(),
  };
}

function receiptOf(task: RelayTask, published: PublishedState | undefined): RelayReceipt {
  return { task, jobId: task.jobId, keys: task.keys, published };
}
