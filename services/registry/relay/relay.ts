import type { Publisher } from "../../platform/jetstream/publisher.ts";
import { type Clock, sleep } from "../../platform/process/clock.ts";
import type { Startable } from "../../platform/process/lifecycle.ts";
import type { Log } from "../../platform/process/log.ts";
import { allLanes, lanes, type OutboxEntry, type OutboxKey, type RegistryStore } from "../store/contract.ts";
import type { ReadJobs } from "./jobs-range.ts";
import type { PublicationWait } from "./publication-wait.ts";
import { createRebuild, type StreamState } from "./rebuild.ts";
import { createReceipts } from "./receipts.ts";
import type { RelayReceipt, RelayTask } from "./relay-task.ts";
import { createSender } from "./sender.ts";
import { createWithdrawal } from "./withdrawal.ts";

/**
 * Publishes what the outbox holds and removes it after the broker's
 * acknowledgement: a crash in between publishes again, under the same message id.
 */
export interface Relay extends Startable {
  /**
   * Asks for the state of JOBS and fills the stream anew when it is not the one
   * that was published to, is empty or has lost its end.
   */
  checkStream(ask: () => Promise<StreamState>): Promise<void>;
  /** For how long there has been something to publish, and nothing of it was published and written down. */
  stuckForMs(): number;
}

// What may be under way at once, and what may wait for its receipt to be written. Changes go out all the same.
const window = 2_048;
const takenAtOnce = 512;
const retryDelayMs = 1_000;

export function createRelay(
  store: RegistryStore,
  publisher: Publisher,
  readJobs: ReadJobs,
  wait: Pick<PublicationWait, "published" | "caughtUp">,
  deps: { clock: Clock; log: Log },
): Relay {
  const { clock, log } = deps;
  const stopping = new AbortController();
  let atomicBatches = false;
  let running = false;
  /** The pump, while there may be something to take. */
  let pumping: Promise<void> | undefined;
  /** Something came since the pump looked last. */
  let woken = false;
  /** When something was published last, or when there was something to publish again. */
  let movedMs = 0;
  let endListening: (() => void) | undefined;
  /** Of the changes that an earlier process has left: those that are not published. */
  const left = new Set<OutboxKey>();
  let allLeftTaken = false;

  const withdrawal = createWithdrawal(
    store,
    { publisher, readJobs, write: (written) => rebuild.write(written) },
    { clock, log, stopping: stopping.signal },
  );
  const rebuild = createRebuild(store, withdrawal, {
    log,
    onEnd: () => receipts.writeSoon(),
    onWithdrawn: () => wake(),
  });

  const onWritten = (written: readonly RelayReceipt[], edition: number) => {
    const lost: RelayTask[] = [];
    movedMs = clock.monotonicMs();
    for (const { task, published } of written) {
      if (published && published.edition !== edition) {
        lost.push(task);
        continue;
      }
      if (task.page) rebuild.finish(task.page);
      for (const key of task.keys) left.delete(key);
      sender.release(task);
    }
    lookAtLeft();
    sender.sendAgain(lost);
    sender.flush();
    wake();
  };

  const receipts = createReceipts({ write: rebuild.write, onWritten }, deps);

  const sender = createSender(
    store,
    publisher,
    {
      stream: () => ({ edition: rebuild.edition(), atomicBatches }),
      onPublished: wait.published,
      onReceipt: receipts.add,
      onWaiting: receipts.hurry,
    },
    deps,
  );

  /** Not when nothing is under way: while jobs are made, or manual runs wait for their stream, that never is. */
  const lookAtLeft = () => {
    if (allLeftTaken && left.size === 0) wait.caughtUp();
  };
  const noteLeft = (entries: readonly OutboxEntry[], limit: number) => {
    const changes = entries.filter(({ key }) => key.lane === lanes.change);
    for (const { key, run } of changes) if (!run) left.add(key);
    // They come first: fewer than that are all.
    allLeftTaken = changes.length < limit;
    lookAtLeft();
  };

  const wake = () => {
    woken = true;
    if (running) pumping ??= pump();
  };

  const pump = async () => {
    // The caller has to have this promise before it ends.
    await Promise.resolve();
    while (woken && running) {
      woken = false;
      try {
        await rebuild.load();
        await takeAll().finally(sender.flush);
      } catch (error) {
        // What was not taken is still there.
        log.error({ event: "relay_read_failed", err: error });
        woken = true;
        await sleep(clock, retryDelayMs, stopping.signal);
      }
    }
    // Nothing can wake it between the last look and here.
    pumping = undefined;
  };

  /** Takes until nothing is left, or too much is under way. */
  const takeAll = async () => {
    while (running) {
      const room = window - sender.open();
      const limit = room > 0 ? Math.min(room, takenAtOnce) : takenAtOnce;
      const entries = await store.takeOutbox(room > 0 ? allLanes : [lanes.change], limit);
      if (sender.open() === 0) movedMs = clock.monotonicMs();
      for (const { key, jobId, run } of entries) sender.add({ jobId, keys: [key], page: undefined, run });
      if (!allLeftTaken) noteLeft(entries, limit);
      if (entries.length > 0) continue;
      if (room <= 0 || !(await takePage())) return;
    }
  };

  /** Takes a page of the rebuild, once the outbox is empty. */
  const takePage = async (): Promise<boolean> => {
    const next = await rebuild.nextPage();
    if (!next) return false;
    for (const jobId of next.jobIds) sender.add({ jobId, keys: [], page: next.page, run: undefined });
    // All of its jobs wait in the outbox: others get their turn before the next page.
    if (next.jobIds.length === 0) await sleep(clock, 0, stopping.signal);
    return true;
  };

  return {
    async checkStream(ask) {
      ({ atomicBatches } = await rebuild.check(ask));
      // Also for what a hint was lost of.
      wake();
    },
    stuckForMs: () => (sender.open() === 0 ? 0 : clock.monotonicMs() - movedMs),
    async start() {
      if (running || stopping.signal.aborted) return;
      running = true;
      receipts.start();
      endListening = store.onOutbox(wake);
      wake();
    },
    async stop() {
      running = false;
      stopping.abort();
      endListening?.();
      sender.stop();
      await pumping;
      await receipts.stop();
    },
  };
}
