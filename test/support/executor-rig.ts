import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { Registry } from "prom-client";
import {
  type AttemptResult,
  type DueEntry,
  DueEntrySchema,
  HistoryService,
  JobEventSchema,
  ResultBatchSchema,
} from "../../gen/carillon/v1/events_pb.ts";
import { ExecutionStatus } from "../../gen/carillon/v1/execution_pb.ts";
import { HttpMethod, type JobState } from "../../gen/carillon/v1/job_pb.ts";
import { executionIdOf } from "../../services/domain/identity/execution-id.ts";
import { partitionOf } from "../../services/domain/identity/partition.ts";
import type { ExecutorConfig } from "../../services/executor/config.ts";
import { createExecutor } from "../../services/executor/service.ts";
import { createBroker } from "../../services/platform/jetstream/broker.ts";
import { createConsumerLoop } from "../../services/platform/jetstream/consumer-loop.ts";
import { createPublisher } from "../../services/platform/jetstream/publisher.ts";
import { systemClock, systemRandom } from "../../services/platform/process/clock.ts";
import type { Startable } from "../../services/platform/process/lifecycle.ts";
import { createLog, type LogLevel } from "../../services/platform/process/log.ts";
import { createMetrics } from "../../services/platform/process/metrics.ts";
import { bindService, createCallPipeline } from "../../services/platform/rpc/binding.ts";
import { createGrpcServer } from "../../services/platform/rpc/grpc/grpc-server.ts";
import { writeDueBatch } from "../../services/wire/due-batch.ts";
import { createStreamKeeper } from "../../services/wire/stream-keeper.ts";
import { consumers, streams } from "../../services/wire/streams.ts";
import { subjects } from "../../services/wire/subjects.ts";
import { type Nats, startNats } from "./nats.ts";

export type ExecutorRig = Awaited<ReturnType<typeof startExecutorRig>>;

const main = new URL("../../services/executor/main.ts", import.meta.url).pathname;
const loopback = { host: "127.0.0.1", port: 0 };

/** A due entry with the registry's defaults, for one job. */
export function dueEntry(
  fields: Omit<MessageInitShape<typeof DueEntrySchema>, "$typeName"> & { jobId: string; url: string },
): DueEntry {
  return create(DueEntrySchema, {
    generation: 1,
    method: HttpMethod.POST,
    body: "{}",
    timeoutMs: 30_000,
    maxAttempts: 2,
    minBackoffMs: 50,
    maxBackoffMs: 200,
    ...fields,
  });
}

/** The first second that is at least `aheadMs` away. */
export function nextSecond(aheadMs = 300): number {
  return Math.ceil((Date.now() + aheadMs) / 1000);
}

/**
 * All that stands around executors, for real: a broker, a history that
 * remembers by fiat, and the stream of results as history gets it.
 */
export async function startExecutorRig(options: { nats?: Nats; collectResults?: boolean } = {}) {
  const log = createLog("test", (process.env.TEST_LOG ?? "silent") as LogLevel);
  const deps = { clock: systemClock, log };
  const nats = options.nats ?? (await startNats());
  const broker = createBroker({ url: nats.url, name: "rig" }, deps);
  await broker.start();
  await createStreamKeeper(broker, deps, { replicas: 1 }).ensure();
  const publisher = createPublisher(broker, deps);
  await publisher.start();

  const results: AttemptResult[] = [];
  /** What is told of attempts that have to wait; not among the results. */
  const waits: AttemptResult[] = [];
  const waiters = new Set<() => void>();
  const collector = createConsumerLoop(broker, deps, {
    stream: streams.results,
    durable: consumers.results,
    room: () => ({ messages: 100, bytes: 16 * 1024 * 1024 }),
    onMessage(message) {
      for (const result of fromBinary(ResultBatchSchema, message.data).results) {
        (result.status === ExecutionStatus.RUNNING ? waits : results).push(result);
      }
      message.ack();
      for (const check of waiters) check();
    },
  });
  if (options.collectResults !== false) await collector.start();

  const recorded = new Set<string>();
  /** Attempts that history has of an execution that still runs. */
  const attempts = new Map<string, number>();
  /** What history says of the execution; RETRYING unless it is told otherwise. */
  const statuses = new Map<string, ExecutionStatus>();
  const asked: string[][] = [];
  const pipeline = createCallPipeline({ tokens: [] }, { metrics: new Registry(), log, clock: systemClock });
  const history = createGrpcServer(
    { address: loopback },
    {
      log,
      clock: systemClock,
      services: [
        bindService(
          HistoryService,
          {
            findRecorded({ executionIds }) {
              asked.push(executionIds);
              return { executionIds: executionIds.filter((id) => recorded.has(id)) };
            },
            findMade({ attempts: asked }) {
              const isMade = ({ executionId, attempt, redriven }: (typeof asked)[number]) => {
                const made = attempts.get(executionId);
                if (made === undefined) return false;
                const status = statuses.get(executionId) ?? ExecutionStatus.RETRYING;
                const open = status === ExecutionStatus.RETRYING || (redriven && status === ExecutionStatus.FAILED);
                return !open || made >= attempt;
              };
              return { executionIds: asked.filter(isMade).map(({ executionId }) => executionId) };
            },
          },
          pipeline,
        ),
      ],
    },
  );
  await history.start();

  const config: ExecutorConfig = {
    natsUrl: nats.url,
    logLevel: "silent",
    logFormat: "json",
    executorId: "rig",
    grpcAddress: loopback,
    opsAddress: loopback,
    historyAddress: history.address(),
    // However busy this machine is: what history does not answer in time is called again.
    historyTimeoutMs: 60_000,
    nameServers: [],
    internalToken: undefined,
    replicas: 1,
    brokerMaxBytes: undefined,
  };
  const started: Startable[] = [];
  const children: ChildProcess[] = [];
  let batches = 0;

  return {
    nats,
    broker,
    publisher,
    results,
    waits,
    recorded,
    attempts,
    statuses,
    asked,
    async startExecutor(overrides: Partial<ExecutorConfig> = {}): Promise<Startable> {
      const executor = createExecutor(
        { ...config, ...overrides },
        { clock: systemClock, random: systemRandom, log, metrics: createMetrics("executor") },
      );
      started.push(executor);
      await executor.start();
      return executor;
    },
    /** The executor as the process that it is in earnest; resolves once it has started. */
    async spawnExecutor(): Promise<ChildProcess> {
      const child = spawn(process.execPath, [main], {
        env: {
          PATH: process.env.PATH ?? "",
          NATS_URL: nats.url,
          CARILLON_EXECUTOR_GRPC_ADDR: "127.0.0.1:0",
          CARILLON_OPS_ADDR: "127.0.0.1:0",
          CARILLON_HISTORY_ADDR: `127.0.0.1:${history.address().port}`,
        },
        stdio: ["ignore", "pipe", "inherit"],
      });
      children.push(child);
      let output = "";
      await new Promise<void>((resolve, reject) => {
        child.once("exit", () => reject(new Error(`the executor ended:\n${output}`)));
        child.stdout?.on("data", (chunk) => {
          output += chunk;
          if (output.includes('"started"')) resolve();
        });
      });
      return child;
    },
    /** Publishes entries as one batch, on the subject of the first one's partition. */
    async due(second: number, entries: readonly DueEntry[], head: { mayRepeat?: boolean } = {}): Promise<void> {
      const partition = partitionOf(entries[0]?.jobId ?? "");
      const batch = writeDueBatch({
        second,
        partition,
        mayRepeat: head.mayRepeat === true,
        epoch: 1,
        entries: entries.map((entry) => toBinary(DueEntrySchema, entry)),
      });
      const answer = await publisher.publish(subjects.due(partition), batch, { messageId: `due-${batches++}` });
      if (answer.kind !== "stored") throw new Error(`not stored: ${JSON.stringify(answer)}`);
    },
    /** Publishes a change of a job, as the registry does. */
    async change(
      jobId: string,
      event: {
        generation: number;
        timingGeneration?: number;
        effectiveFromMs?: number;
        deleted?: boolean;
        state?: JobState;
        url?: string;
      },
    ): Promise<void> {
      const { generation, timingGeneration = 1, effectiveFromMs = 0, deleted = false } = event;
      const job = { jobId, generation, state: event.state ?? 1, apiEndpoint: event.url ?? "", schedule: "* * * * * *" };
      const message = create(JobEventSchema, {
        jobId,
        generation,
        timingGeneration,
        effectiveFromMs: BigInt(effectiveFromMs),
        deleted,
        ...(deleted ? {} : { job }),
      });
      const bytes = toBinary(JobEventSchema, message);
      const answer = await publisher.publish(subjects.job(partitionOf(jobId), jobId), bytes);
      if (answer.kind !== "stored") throw new Error(`not stored: ${JSON.stringify(answer)}`);
    },
    /** Resolves once the results meet the condition. */
    until(condition: (results: readonly AttemptResult[]) => boolean): Promise<void> {
      return new Promise((resolve) => {
        const check = () => {
          if (!condition(results)) return;
          waiters.delete(check);
          resolve();
        };
        waiters.add(check);
        check();
      });
    },
    /** The results of one execution once its final one is there. */
    async settled(jobId: string, second: number): Promise<AttemptResult[]> {
      const id = executionIdOf(jobId, second);
      await this.until((all) => all.some((one) => one.executionId === id && one.final));
      return results.filter((one) => one.executionId === id);
    },
    /** Resolves once nothing is stored and unacknowledged in the work queues of executors. */
    async drained(): Promise<void> {
      for (;;) {
        const left = await Promise.all(
          [streams.due, streams.retry, streams.lanes, streams.running].map(
            async (name) => (await broker.jsm.streams.info(name)).state.messages,
          ),
        );
        if (left.every((messages) => messages === 0)) return;
      }
    },
    startCollecting: () => collector.start(),
    async stop(): Promise<void> {
      for (const executor of started) await executor.stop();
      for (const child of children) {
        if (child.exitCode !== null || child.signalCode !== null) continue;
        const exited = once(child, "exit");
        child.kill("SIGKILL");
        await exited;
      }
      await collector.stop();
      await history.stop();
      await publisher.stop();
      await broker.stop();
      await nats.stop();
    },
  };
}

/** What a test compares of a result. */
export function brief(result: AttemptResult): {
  attempt: number;
  status: ExecutionStatus;
  final: boolean;
  httpStatus: number;
  reason: string;
} {
  const { attempt, status, final, httpStatus, reason } = result;
  return { attempt, status, final, httpStatus, reason };
}
