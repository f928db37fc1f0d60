import type { Clock } from "../../platform/process/clock.ts";
import type { Log } from "../../platform/process/log.ts";
import type { RelayReceipt } from "./relay-task.ts";

/** Gathers receipts and writes many down together, since a commit costs an fsync. */
export interface Receipts {
  add(receipt: RelayReceipt): void;
  /** Writes what is there without waiting for more: a task of the same job waits for it. */
  hurry(): void;
  /** Writes within the time to gather, also when there is no receipt: the rebuild's progress is to be written. */
  writeSoon(): void;
  start(): void;
  /** Writes what is left; nothing is added afterwards. */
  stop(): Promise<void>;
}

const gatherMs = 20;
const writeAtOnce = 512;
const retryDelayMs = 1_000;

export function createReceipts(
  store: {
    /** Writes all of them in one transaction; resolves with the edition that counts. */
    write(receipts: readonly RelayReceipt[]): Promise<number>;
    onWritten(receipts: readonly RelayReceipt[], edition: number): void;
  },
  deps: { clock: Clock; log: Log },
): Receipts {
  const { clock, log } = deps;
  let gathered: RelayReceipt[] = [];
  let cancelTimer: (() => void) | undefined;
  let writing: Promise<void> | undefined;
  let hurried = false;
  /** After a write that failed: until the next try nothing else starts one. */
  let resting = false;
  let running = false;

  const after = (delayMs: number) => {
    cancelTimer ??= clock.after(delayMs, () => {
      // Also while a write is under way: what gathers meanwhile sets another timer when that ends.
      cancelTimer = undefined;
      resting = false;
      writeNow();
    });
  };

  const writeNow = () => {
    if (writing || resting) return;
    cancelTimer?.();
    cancelTimer = undefined;
    writing = writeGathered().then(() => {
      writing = undefined;
      if (!running || gathered.length === 0) return;
      if (hurried || gathered.length >= writeAtOnce) writeNow();
      else after(gatherMs);
    });
  };

  const writeGathered = async () => {
    const receipts = gathered;
    gathered = [];
    hurried = false;
    let edition: number;
    try {
      edition = await store.write(receipts);
    } catch (error) {
      log.error({ event: "relay_receipts_not_written", err: error });
      gathered = receipts.concat(gathered);
      if (!running) return;
      cancelTimer?.();
      cancelTimer = undefined;
      resting = true;
      after(retryDelayMs);
      return;
    }
    store.onWritten(receipts, edition);
  };

  return {
    add(receipt) {
      if (!running) return;
      gathered.push(receipt);
      if (gathered.length >= writeAtOnce) writeNow();
      else after(gatherMs);
    },
    hurry() {
      if (gathered.length === 0) return;
      hurried = true;
      writeNow();
    },
    writeSoon() {
      if (running) after(gatherMs);
    },
    start() {
      running = true;
    },
    async stop() {
      running = false;
      cancelTimer?.();
      cancelTimer = undefined;
      await writing;
      // What is not written is published again by the next start.
      if (gathered.length > 0) await writeGathered();
    },
  };
}
