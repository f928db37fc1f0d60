import type { Broker } from "../../platform/jetstream/broker.ts";
import type { Publisher } from "../../platform/jetstream/publisher.ts";
import type { Clock } from "../../platform/process/clock.ts";
import type { Startable } from "../../platform/process/lifecycle.ts";
import type { Log } from "../../platform/process/log.ts";
import { retryBatchId, retryName, writeRetryBatch } from "../../wire/retry-batch.ts";
import { streams } from "../../wire/streams.ts";
import { subjects } from "../../wire/subjects.ts";
import type { Attempt } from "../calls/attempt.ts";
import type { Settlement } from "../settling/settlements.ts";

/**
 * Says in the broker which calls are on the wire for long, so that their due messages need not wait
 * for them. What a run of an executor leaves behind others make, once its signs of life have ended.
 */
export interface RunningRecords extends Startable {
  /** From the moment that the record is stored it stands for the attempt, in place of its message. */
  add(attempt: Attempt): void;
  /** Records that stand. */
  pending(): number;
}

const maxEntries = 100;
const maxBytes = 256 * 1024;
const gatherMs = 10;
const removeEveryMs = 1_000;
const removedAtOnce = 64;

export function createRunningRecords(
  broker: Broker,
  publisher: Publisher,
  deps: { clock: Clock; log: Log },
  /** This start of this executor. */
  run: string,
): RunningRecords {
  const { clock, log } = deps;
  const subject = subjects.running(run);
  let gathered: Attempt[] = [];
  let bytes = 0;
  let standing = 0;
  let cancelFlush: (() => void) | undefined;
  let cancelRemoval: (() => void) | undefined;
  /** Places in the stream of records that are not needed any more. */
  const unneeded = new Set<number>();

  const remove = async (sequence: number) => {
    // One that stays is dropped by whoever reads it: history has its attempts.
    const gone = await broker.jsm.streams.deleteMessage(streams.running, sequence, false).catch(() => false);
    if (gone) unneeded.delete(sequence);
  };
  const removeSome = () => {
    cancelRemoval = clock.after(removeEveryMs, removeSome);
    if (!broker.connected()) return;
    let count = 0;
    for (const sequence of unneeded) {
      if (++count > removedAtOnce) return;
      void remove(sequence);
    }
  };

  const record = (attempts: readonly Attempt[], sequence: number) => {
    let open = attempts.length;
    standing++;
    const close = () => {
      if (--open > 0) return;
      standing--;
      unneeded.add(sequence);
    };
    for (const attempt of attempts) {
      // It ended meanwhile, and settles its message itself.
      if (attempt.outcome) {
        close();
        continue;
      }
      const before = attempt.settlement;
      attempt.settlement = settlementOf(close);
      before.done();
    }
  };

  const flush = () => {
    cancelFlush?.();
    cancelFlush = undefined;
    const attempts = gathered.filter(({ outcome }) => outcome === undefined);
    gathered = [];
    bytes = 0;
    if (attempts.length === 0) return;
    const entries = attempts.map(({ call, executionId, second, number, redrive }) => ({
      entry: call.entry,
      executionId,
      second,
      attempt: number,
      notBeforeMs: 0,
      redrive,
    }));
    const payload = writeRetryBatch(entries);
    const messageId = retryBatchId([run, ...entries.map(retryName)]);
    void publisher.publish(subject, payload, { messageId }).then((answer) => {
      if (answer.kind === "stored") return record(attempts, answer.sequence);
      // Their messages stay in work, as they were.
      if (answer.kind === "refused") log.warn({ event: "running_refused", entries: attempts.length, ...answer });
    });
  };

  return {
    add(attempt) {
      gathered.push(attempt);
      bytes += attempt.call.entry.length;
      if (gathered.length >= maxEntries || bytes >= maxBytes) flush();
      else cancelFlush ??= clock.after(gatherMs, flush);
    },
    pending: () => standing,
    async start() {
      cancelRemoval ??= clock.after(removeEveryMs, removeSome);
    },
    async stop() {
      cancelFlush?.();
      cancelRemoval?.();
      if (unneeded.size > 0 && broker.connected()) await Promise.all([...unneeded].slice(0, removedAtOnce).map(remove));
    },
  };
}

/** Whoever refuses leaves the record standing, for others to make the attempt once this run has ended. */
function settlementOf(close: () => void): Settlement {
  return { done: close, refused: () => undefined, giveBack: () => undefined };
}
