import { create, toBinary } from "@bufbuild/protobuf";
import { DueEntrySchema } from "../../gen/carillon/v1/events_pb.ts";
import { ExecutionStatus, ExecutionTrigger } from "../../gen/carillon/v1/execution_pb.ts";
import { partitionOf } from "../../services/domain/identity/partition.ts";
import { executionIdAt } from "../../services/domain/identity/position.ts";
import { type Broker, createBroker } from "../../services/platform/jetstream/broker.ts";
import { createPublisher } from "../../services/platform/jetstream/publisher.ts";
import { systemClock } from "../../services/platform/process/clock.ts";
import { createLog } from "../../services/platform/process/log.ts";
import type { AttemptResult } from "../../services/wire/attempt-result.ts";
import { deadLetterId, readDeadLetter, writeDeadLetter } from "../../services/wire/dead-letter.ts";
import { type RetryEntry, readRetryBatch } from "../../services/wire/retry-batch.ts";
import { createStreamKeeper } from "../../services/wire/stream-keeper.ts";
import { streams } from "../../services/wire/streams.ts";
import { subjects } from "../../services/wire/subjects.ts";

export interface LetterInit extends Partial<AttemptResult> {
  jobId: string;
  second: number;
  /** Of one that came back from a redrive. */
  redrivenAtMs?: number;
}

/** Writes and reads DEAD, and reads RETRY, as executors do. */
export interface Graveyard {
  readonly broker: Broker;
  /** Stores letters in this order; by default of executions that timed out at their second attempt. */
  bury(...letters: LetterInit[]): Promise<void>;
  /** Ids of the executions in DEAD, in order. */
  dead(): Promise<string[]>;
  /** What waits in RETRY, in order. */
  retries(): Promise<RetryEntry[]>;
  stop(): Promise<void>;
}

export async function openGraveyard(natsUrl: string): Promise<Graveyard> {
  const deps = { clock: systemClock, log: createLog("test", "silent") };
  const broker = createBroker({ url: natsUrl, name: "graveyard" }, deps);
  await broker.start();
  await createStreamKeeper(broker, deps, { replicas: 1 }).ensure();
  const publisher = createPublisher(broker, deps);
  await publisher.start();

  const messagesOf = async (stream: string) => {
    const { first_seq, last_seq } = (await broker.jsm.streams.info(stream)).state;
    const found: Uint8Array[] = [];
    for (let seq = first_seq; seq <= last_seq; seq++) {
      const message = await broker.jsm.streams.getMessage(stream, { seq }).catch(() => undefined);
      if (message) found.push(message.data);
    }
    return found;
  };

  return {
    broker,
    async bury(...letters) {
      const answers = letters.map(({ redrivenAtMs, ...init }) => {
        const letter = { entry: entryOf(init.jobId), result: resultOf(init) };
        const messageId = deadLetterId(letter, redrivenAtMs);
        return publisher.publish(subjects.dead(partitionOf(init.jobId), init.jobId), writeDeadLetter(letter), {
          messageId,
        });
      });
      for (const answer of await Promise.all(answers)) {
        if (answer.kind !== "stored" || answer.duplicate) throw new Error(`not stored: ${JSON.stringify(answer)}`);
      }
    },
    async dead() {
      const letters = (await messagesOf(streams.dead)).map(readDeadLetter);
      return letters.map(({ result }) => executionIdAt(result.jobId, result));
    },
    async retries() {
      return (await messagesOf(streams.retry)).flatMap((data) => readRetryBatch(data).entries);
    },
    async stop() {
      await publisher.stop();
      await broker.stop();
    },
  };
}

function resultOf(init: LetterInit): AttemptResult {
  return {
    run: "",
    attempt: 2,
    status: ExecutionStatus.FAILED,
    final: true,
    sentAtMs: init.second * 1000 + 3,
    durationMs: 5,
    httpStatus: 0,
    reason: "TIMEOUT",
    message: "no answer in time",
    retryAtMs: 0,
    trigger: ExecutionTrigger.SCHEDULE,
    ...init,
  };
}

/** A call as the job asked for it when it failed, which is not what it asks for now. */
function entryOf(jobId: string): Uint8Array {
  return toBinary(DueEntrySchema, create(DueEntrySchema, { jobId, generation: 1, url: "http://127.0.0.1:9/old" }));
}
