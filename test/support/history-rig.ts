import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import type { ConsumerInfo } from "nats";
import { expect, vi } from "vitest";
import { type AttemptResultSchema, ResultBatchSchema } from "../../gen/carillon/v1/events_pb.ts";
import { ExecutionStatus, ExecutionTrigger } from "../../gen/carillon/v1/execution_pb.ts";
import { type Broker, createBroker } from "../../services/platform/jetstream/broker.ts";
import { createPublisher, type Publisher } from "../../services/platform/jetstream/publisher.ts";
import { systemClock } from "../../services/platform/process/clock.ts";
import { createLog } from "../../services/platform/process/log.ts";
import { createStreamKeeper } from "../../services/wire/stream-keeper.ts";
import { consumers, streams } from "../../services/wire/streams.ts";
import { subjects } from "../../services/wire/subjects.ts";
import { type Nats, startNats } from "./nats.ts";

const deps = { clock: systemClock, log: createLog("test", "silent") };

type ResultInit = MessageInitShape<typeof AttemptResultSchema>;

/** A first attempt that succeeded, as an executor tells it. */
export function wireResult(jobId: string, second: number, changes: ResultInit = {}): ResultInit {
  return {
    executionId: `${jobId}-${second}`,
    jobId,
    second: BigInt(second),
    attempt: 1,
    status: ExecutionStatus.SUCCESS,
    final: true,
    sentAtMs: BigInt(second * 1000 + 4),
    durationMs: 7,
    httpStatus: 200,
    trigger: ExecutionTrigger.SCHEDULE,
    ...changes,
  };
}

export function encodeBatch(results: ResultInit[]): Uint8Array {
  return toBinary(ResultBatchSchema, create(ResultBatchSchema, { results }));
}

/** A broker with the streams, somebody who publishes results, and a folder. */
export interface HistoryRig {
  readonly nats: Nats;
  readonly broker: Broker;
  readonly publisher: Publisher;
  readonly dataDir: string;
  /** All of them in one message. */
  publish(...results: ResultInit[]): Promise<unknown>;
  /** What the broker says of history's consumer. */
  consumer(): Promise<ConsumerInfo>;
  /** Messages that are not recorded and acknowledged yet: an acknowledged one leaves the stream. */
  unrecorded(): Promise<number>;
  allRecorded(): Promise<void>;
  stop(): Promise<void>;
}

export async function startHistoryRig(): Promise<HistoryRig> {
  const nats = await startNats();
  const broker = createBroker({ url: nats.url, name: "test" }, deps);
  await broker.start();
  await createStreamKeeper(broker, deps, { replicas: 1 }).ensure();
  const publisher = createPublisher(broker, deps);
  await publisher.start();
  const dataDir = await mkdtemp(join(tmpdir(), "carillon-history-"));
  // The consumer's own counts lag behind the publish.
  const unrecorded = async () => (await broker.jsm.streams.info(streams.results)).state.messages;
  return {
    nats,
    broker,
    publisher,
    dataDir,
    publish: (...results) => publisher.publish(subjects.results, encodeBatch(results)),
    consumer: () => broker.jsm.consumers.info(streams.results, consumers.results),
    unrecorded,
    allRecorded: () => vi.waitFor(async () => expect(await unrecorded()).toBe(0), { timeout: 45_000, interval: 20 }),
    async stop() {
      await publisher.stop();
      await broker.stop();
      await nats.stop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}
