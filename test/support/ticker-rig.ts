import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { DueBatchSchema, DueEntrySchema, JobEventSchema } from "../../gen/carillon/v1/events_pb.ts";
import { JobSchema, JobState } from "../../gen/carillon/v1/job_pb.ts";
import { partitionOf } from "../../services/domain/identity/partition.ts";
import { createBroker } from "../../services/platform/jetstream/broker.ts";
import { createConsumerLoop } from "../../services/platform/jetstream/consumer-loop.ts";
import { createFollower } from "../../services/platform/jetstream/follower.ts";
import { createPublisher } from "../../services/platform/jetstream/publisher.ts";
import { systemClock } from "../../services/platform/process/clock.ts";
import { startInOrder } from "../../services/platform/process/lifecycle.ts";
import { createLog } from "../../services/platform/process/log.ts";
import type { PartitionClaim } from "../../services/wire/partition-claim.ts";
import { readPartitionClaim } from "../../services/wire/partition-claim.ts";
import { createStreamKeeper } from "../../services/wire/stream-keeper.ts";
import { consumers, streams } from "../../services/wire/streams.ts";
import { partitionOfSubject, subjects } from "../../services/wire/subjects.ts";
import type { Tick } from "../../services/wire/tick.ts";
import { readTick } from "../../services/wire/tick.ts";
import { type Nats, repositoryDir, startNats } from "./nats.ts";

export interface WrittenJob {
  jobId: string;
  schedule: string;
  effectiveFromMs: number;
  generation?: number;
  paused?: boolean;
}

/** A real broker, a hand that writes JOBS, and eyes on DUE, TICKS and the claims. */
export interface TickerRig {
  nats: Nats;
  /** The seconds that were published for a job, in order of arrival, repeats included. */
  secondsOf(jobId: string): number[];
  lastTick(ticker: string): Tick | undefined;
  claims: Map<number, PartitionClaim | undefined>;
  /** Resolves as soon as it holds, judged after each message that arrives. */
  until(what: string, holds: () => boolean): Promise<void>;
  putJob(state: WrittenJob): Promise<void>;
  spawnTicker(id: string): ChildProcess;
  /** kill -9 of the broker, which comes back with nothing on its disk. */
  loseTheDisk(): Promise<void>;
  stop(): Promise<void>;
}

const patienceMs = 30_000;

export async function startTickerRig(): Promise<TickerRig> {
  const nats = await startNats();
  const log = createLog("rig", "silent");
  const deps = { clock: systemClock, log };
  const broker = createBroker({ url: nats.url, name: "rig" }, deps);
  const keeper = createStreamKeeper(broker, deps, { replicas: 1 });
  await broker.start();
  await keeper.start();
  const published = new Map<string, number[]>();
  const ticks = new Map<string, Tick>();
  const claims = new Map<number, PartitionClaim | undefined>();
  const waiting = new Set<() => void>();
  const children = new Set<ChildProcess>();
  const announce = () => {
    for (const check of waiting) check();
  };
  const publisher = createPublisher(broker, deps);
  const parts = startInOrder([
    publisher,
    createConsumerLoop(broker, deps, {
      stream: streams.due,
      durable: consumers.due,
      room: () => ({ messages: 1_000, bytes: 16 * 1024 * 1024 }),
      onMessage: (message) => {
        const batch = fromBinary(DueBatchSchema, message.data);
        // A redelivery is this rig's own fault, not the ticker's.
        if (!message.redelivered) {
          for (const bytes of batch.entries) {
            const { jobId } = fromBinary(DueEntrySchema, bytes);
            published.set(jobId, [...(published.get(jobId) ?? []), Number(batch.second)]);
          }
        }
        message.ack();
        announce();
      },
    }),
    createFollower(broker, deps, {
      stream: streams.ticks,
      subjects: [subjects.ticks],
      from: "state",
      onMessage: (message) => {
        const tick = readTick(message.data);
        ticks.set(tick.ticker, tick);
        announce();
      },
    }),
    createFollower(broker, deps, {
      stream: streams.claims,
      subjects: [subjects.claims],
      from: "state",
      onMessage: (message) => {
        claims.set(partitionOfSubject(message.subject), readPartitionClaim(message.data));
        announce();
      },
    }),
  ]);
  await parts.start();
  return {
    nats,
    claims,
    secondsOf: (jobId) => published.get(jobId) ?? [],
    lastTick: (ticker) => ticks.get(ticker),
    until: (what, holds) =>
      new Promise((resolve, reject) => {
        const end = (error?: Error) => {
          cancel();
          waiting.delete(check);
          if (error) reject(error);
          else resolve();
        };
        const check = () => {
          if (holds()) end();
        };
        const cancel = systemClock.after(patienceMs, () => end(new Error(`not within ${patienceMs} ms: ${what}`)));
        waiting.add(check);
        check();
      }),
    async putJob({ jobId, schedule, effectiveFromMs, generation = 1, paused = false }) {
      const job = create(JobSchema, {
        jobId,
        schedule,
        generation,
        apiEndpoint: "http://127.0.0.1:1/hook",
        state: paused ? JobState.PAUSED : JobState.ACTIVE,
        createdAt: { seconds: BigInt(Math.floor(effectiveFromMs / 1000)) },
      });
      const event = create(JobEventSchema, {
        jobId,
        generation,
        timingGeneration: generation,
        effectiveFromMs: BigInt(effectiveFromMs),
        job,
      });
      const outcome = await publisher.publish(subjects.job(partitionOf(jobId), jobId), toBinary(JobEventSchema, event));
      if (outcome.kind !== "stored") throw new Error(`not stored: ${JSON.stringify(outcome)}`);
    },
    spawnTicker(id) {
      const child = spawn(process.execPath, [join(repositoryDir, "services/ticker/main.ts")], {
        stdio: ["ignore", "ignore", "inherit"],
        env: {
          PATH: process.env.PATH,
          NATS_URL: nats.url,
          CARILLON_TICKER_ID: id,
          CARILLON_TICKER_GRPC_ADDR: "127.0.0.1:0",
          CARILLON_OPS_ADDR: "127.0.0.1:0",
        },
      });
      children.add(child);
      child.once("exit", () => children.delete(child));
      return child;
    },
    async loseTheDisk() {
      await nats.kill("SIGKILL");
      await rm(nats.storeDir, { recursive: true, force: true });
      await nats.restart();
    },
    async stop() {
      for (const child of children) await killed(child);
      await parts.stop();
      await keeper.stop();
      await broker.stop();
      await nats.stop();
    },
  };
}

/** kill -9, and gone when it resolves. */
export async function killed(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, "exit");
  child.kill("SIGKILL");
  await exit;
}

/** The seconds that are missing between the first and the last, both included. */
export function missingSeconds(seconds: readonly number[], first: number): number[] {
  const seen = new Set(seconds);
  const missing: number[] = [];
  for (let second = first; second < Math.max(...seconds); second++) if (!seen.has(second)) missing.push(second);
  return missing;
}
