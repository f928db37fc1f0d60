import { create, toBinary } from "@bufbuild/protobuf";
import { DeadLetterSchema } from "../../../gen/carillon/v1/events_pb.ts";
import { partitionOf } from "../../domain/identity/partition.ts";
import type { Publisher } from "../../platform/jetstream/publisher.ts";
import type { Log } from "../../platform/process/log.ts";
import { subjects } from "../../wire/subjects.ts";
import type { Attempt } from "../calls/attempt.ts";
import type { AttemptRecord } from "./result-encoding.ts";

/** Keeps executions that used up their attempts, whole, to be replayed. */
export interface DeadLetters {
  /** Calls back with whether the broker stored it; not at all when the executor stops first. */
  publish(attempt: Attempt, record: AttemptRecord, onStored: (stored: boolean) => void): void;
}

export function createDeadLetters(publisher: Publisher, log: Log): DeadLetters {
  return {
    publish(attempt, record, onStored) {
      const letter = create(DeadLetterSchema, {
        entry: attempt.call.entry,
        executionId: attempt.executionId,
        second: BigInt(attempt.second),
        result: { ...record, second: BigInt(record.second), sentAtMs: BigInt(record.sentAtMs) },
      });
      const messageId = `d-${attempt.executionId}-${attempt.number}`;
      void publisher
        .publish(subjects.dead(partitionOf(attempt.call.jobId)), toBinary(DeadLetterSchema, letter), { messageId })
        .then((outcome) => {
          if (outcome.kind === "abandoned") return;
          if (outcome.kind === "refused") {
            log.error({ event: "dead_letter_refused", executionId: attempt.executionId, ...outcome });
          }
          onStored(outcome.kind === "stored");
        });
    },
  };
}
