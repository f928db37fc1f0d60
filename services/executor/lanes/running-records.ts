import pLimit from "p-limit";
import type { Broker } from "../../platform/jetstream/broker.ts";
import type { Publisher } from "../../platform/jetstream/publisher.ts";
import { removeStored } from "../../platform/jetstream/remove-stored.ts";
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
  /** When RUNNING was made, as the broker says. One that replaced another knows nothing of the records before. */
  noteStream(created: string): void;
  /** Records that stand. */
  pending(): number;
}

const maxEntries = 100;
const maxBytes = 256 * 1024;
const gatherMs = 10;
// While the stream takes nothing the messages of the attempts stay in work, as they were.
const mostUnstored = 128;
const removedAtOnce = 32;
const retryDelayMs = 1_000;

export function createRunningRecords(
  broker: Broker,
  publisher: Publisher,
  deps: { clock: Clock; log: Log },
  /** This start of this executor. */
  run: string,
): RunningRecords {
  const { clock, log } = deps;
  const subject = subjects.running(run);
  const limit = pLimit(removedAtOnce);
  let gathered: Attempt[] = [];
  let bytes = 0;
  let standing = 0;
  let stream: string | undefined;
  /** How often RUNNING was made anew. What was recorded before it was first heard of is in that one. */
  let replaced = 0;
  let stopped = false;
  let cancelFlush: (() => void) | undefined;

  /** `madeIn`: which of the streams has the record. Places in one that replaced it are those of others. */
  const remove = (sequence: number, madeIn: number) =>
    void limit(async () => {
      if (stopped || replaced !== madeIn) return;
      // One that is not there was read by others, who took this run for dead.
      const answer = await removeStored(broker, streams.running, sequence).catch(() => "no answer" as const);
      if (answer === "no answer") clock.after(retryDelayMs, () => remove(sequence, madeIn));
    });

  const record = (attempts: readonly Attempt[], sequence: number) => {
    let open = attempts.length;
    const madeIn = replaced;
    standing++;
    const close = () => {
      if (--open > 0) return;
      standing--;
      remove(sequence, madeIn);
    };
    for (const attempt of attempts) {
      // It ended meanwhile, and settles its message itself.
      if (attempt.state.kind === "ended") {
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
    const attempts = gathered.filter(({ state }) => state.kind !== "ended");
    gathered = [];
    bytes = 0;
    if (attempts.length === 0 || publisher.pending() >= mostUnstored) return;
    const entries = attempts.map(({ call, executionId, second, number, redrive }) => ({
      entry: call.entry,
      executionId,
      second,
      attempt: number,
      notBeforeMs: 0,
      redrive,
    }));
    const messageId = retryBatchId([run, ...entries.map(retryName)]);
    void publisher.publish(subject, writeRetryBatch(entries), { messageId }).then((answer) => {
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
    noteStream(created) {
      if (stream !== undefined && stream !== created) replaced++;
      stream = created;
    },
    pending: () => standing,
    async start() {},
    /** What could not be removed by now is dropped by whoever reads it: history has its attempts. */
    async stop() {
      cancelFlush?.();
      stopped = true;
    },
  };
}

/** Whoever refuses leaves the record standing, for others to make the attempt once this run has ended. */
function settlementOf(close: () => void): Settlement {
  return { done: close, refused: () => undefined, giveBack: () => undefined };
}
