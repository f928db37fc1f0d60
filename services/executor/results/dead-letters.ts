import { partitionOf } from "../../domain/identity/partition.ts";
import { createBatchPublisher } from "../../platform/jetstream/batch-publisher.ts";
import type { BatchMessage, Publisher } from "../../platform/jetstream/publisher.ts";
import type { Clock } from "../../platform/process/clock.ts";
import type { Startable } from "../../platform/process/lifecycle.ts";
import type { Log } from "../../platform/process/log.ts";
import type { AttemptResult } from "../../wire/attempt-result.ts";
import { deadLetterId, writeDeadLetter } from "../../wire/dead-letter.ts";
import { subjects } from "../../wire/subjects.ts";
import type { Attempt } from "../calls/attempt.ts";

/** Keeps executions that used up their attempts, whole, to be redriven. */
export interface DeadLetters extends Startable {
  /** Calls back with whether the broker stored it; not at all when the executor stops first. */
  publish(attempt: Attempt, result: AttemptResult, onStored: (stored: boolean) => void): void;
  /** Letters that the broker has not stored yet. */
  pending(): number;
  flush(): void;
}

// A target that refuses thousands a second costs an fsync for many of them, not one for each.
const gatherMs = 10;
const maxLetters = 500;

export function createDeadLetters(
  publisher: Publisher,
  /** `atomic`: whether DEAD takes messages that are stored as one. */
  deps: { clock: Clock; log: Log; atomic: () => boolean },
): DeadLetters {
  const { clock, log } = deps;
  const batches = createBatchPublisher(publisher);
  let waiting: { message: BatchMessage; onStored: (stored: boolean) => void }[] = [];
  let unstored = 0;
  let cancelTimer: (() => void) | undefined;

  const flush = () => {
    cancelTimer?.();
    cancelTimer = undefined;
    const gathered = waiting;
    waiting = [];
    const reports = batches.publish(
      gathered.map(({ message }) => message),
      deps.atomic(),
    );
    for (const [index, report] of reports.entries()) {
      const letter = gathered[index];
      void report.then((answer) => {
        unstored--;
        if (answer.kind === "abandoned") return;
        if (answer.kind === "refused") {
          log.error({ event: "dead_letter_refused", messageId: letter?.message.messageId, ...answer });
        }
        letter?.onStored(answer.kind === "stored");
      });
    }
  };

  return {
    publish(attempt, result, onStored) {
      const letter = { entry: attempt.call.entry, result };
      const message = {
        subject: subjects.dead(partitionOf(result.jobId), result.jobId),
        payload: writeDeadLetter(letter),
        messageId: deadLetterId(letter, attempt.redrive?.atMs),
      };
      unstored++;
      if (waiting.push({ message, onStored }) >= maxLetters) flush();
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
