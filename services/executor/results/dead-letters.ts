import { partitionOf } from "../../domain/identity/partition.ts";
import type { Publisher } from "../../platform/jetstream/publisher.ts";
import type { Log } from "../../platform/process/log.ts";
import type { AttemptResult } from "../../wire/attempt-result.ts";
import { deadLetterId, writeDeadLetter } from "../../wire/dead-letter.ts";
import { subjects } from "../../wire/subjects.ts";
import type { Attempt } from "../calls/attempt.ts";

/** Keeps executions that used up their attempts, whole, to be replayed. */
export interface DeadLetters {
  /** Calls back with whether the broker stored it; not at all when the executor stops first. */
  publish(attempt: Attempt, result: AttemptResult, onStored: (stored: boolean) => void): void;
}

export function createDeadLetters(publisher: Publisher, log: Log): DeadLetters {
  return {
    publish(attempt, result, onStored) {
      const letter = { entry: attempt.call.entry, result };
      const subject = subjects.dead(partitionOf(result.jobId));
      void publisher.publish(subject, writeDeadLetter(letter), { messageId: deadLetterId(letter) }).then((answer) => {
        if (answer.kind === "abandoned") return;
        if (answer.kind === "refused") {
          log.error({ event: "dead_letter_refused", executionId: attempt.executionId, ...answer });
        }
        onStored(answer.kind === "stored");
      });
    },
  };
}
