import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import { DeadExecutionService } from "../../gen/carillon/v1/dead_execution_pb.ts";
import { type JobEvent, JobEventSchema } from "../../gen/carillon/v1/events_pb.ts";
import { ExecutionService } from "../../gen/carillon/v1/execution_pb.ts";
import { JobService } from "../../gen/carillon/v1/job_pb.ts";
import { type Broker, createBroker } from "../../services/platform/jetstream/broker.ts";
import { createFollower } from "../../services/platform/jetstream/follower.ts";
import { type Clock, systemClock, systemRandom } from "../../services/platform/process/clock.ts";
import type { Address } from "../../services/platform/process/environment.ts";
import { createLog } from "../../services/platform/process/log.ts";
import { createMetrics } from "../../services/platform/process/metrics.ts";
import { createGrpcClient, type GrpcClient } from "../../services/platform/rpc/grpc/grpc-client.ts";
import type { RegistryConfig } from "../../services/registry/config.ts";
import { createRegistry } from "../../services/registry/service.ts";
import { streams } from "../../services/wire/streams.ts";
import { subjects } from "../../services/wire/subjects.ts";

const log = createLog("test", "silent");
const anyPort: Address = { host: "127.0.0.1", port: 0 };

export interface Registry {
  jobs: GrpcClient<typeof JobService>;
  executions: GrpcClient<typeof ExecutionService>;
  dead: GrpcClient<typeof DeadExecutionService>;
  addresses: { http: Address; grpc: Address; ops: Address };
  stop(): Promise<void>;
}

export function tempDir(): Promise<string> {
  return mkdtemp(join(tmpdir(), "carillon-registry-"));
}

export const removeDir = (path: string) => rm(path, { recursive: true, force: true });

/** A registry in this process, on free ports. */
export async function startRegistry(
  config: Partial<RegistryConfig> & { dataDir: string; natsUrl: string },
  clock: Clock = systemClock,
): Promise<Registry> {
  const service = createRegistry(
    {
      logLevel: "silent",
      logFormat: "json",
      httpAddress: anyPort,
      grpcAddress: anyPort,
      opsAddress: anyPort,
      historyAddress: { host: "127.0.0.1", port: 9 },
      apiTokens: [],
      corsOrigins: [],
      internalToken: undefined,
      metricsPeers: [],
      replicas: 1,
      brokerMaxBytes: undefined,
      ...config,
    },
    { clock, random: systemRandom, log, metrics: createMetrics("registry") },
  );
  await service.start();
  const addresses = service.addresses();
  return { ...clientsOf(addresses.grpc), addresses, stop: () => service.stop() };
}

function clientsOf(grpc: Address) {
  const jobs = createGrpcClient(JobService, { address: grpc, timeoutMs: 20_000 }, { clock: systemClock });
  const executions = createGrpcClient(ExecutionService, { address: grpc, timeoutMs: 20_000 }, { clock: systemClock });
  const dead = createGrpcClient(DeadExecutionService, { address: grpc, timeoutMs: 20_000 }, { clock: systemClock });
  return { jobs, executions, dead };
}

export interface RegistryProcess {
  jobs: GrpcClient<typeof JobService>;
  dead: GrpcClient<typeof DeadExecutionService>;
  kill(signal: NodeJS.Signals): Promise<void>;
}

/** A registry in a process of its own, to be killed. */
export async function spawnRegistry(options: { dataDir: string; natsUrl: string }): Promise<RegistryProcess> {
  const main = new URL("../../services/registry/main.ts", import.meta.url).pathname;
  const child: ChildProcess = spawn(process.execPath, [main], {
    stdio: ["ignore", "pipe", "inherit"],
    env: {
      PATH: process.env.PATH,
      NATS_URL: options.natsUrl,
      CARILLON_DATA_DIR: options.dataDir,
      CARILLON_HTTP_ADDR: "127.0.0.1:0",
      CARILLON_GRPC_ADDR: "127.0.0.1:0",
      CARILLON_OPS_ADDR: "127.0.0.1:0",
    },
  });
  const grpc = await grpcAddressOf(child);
  const { jobs, dead } = clientsOf(grpc);
  return {
    jobs,
    dead,
    async kill(signal) {
      child.kill(signal);
      jobs.close();
      dead.close();
      if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
    },
  };
}

/** The service logs where it listens. */
function grpcAddressOf(child: ChildProcess): Promise<Address> {
  return new Promise((resolve, reject) => {
    let text = "";
    child.stdout?.on("data", (chunk) => {
      text += chunk;
      const port = /"event":"grpc_listening","address":"127\.0\.0\.1:(\d+)"/.exec(text)?.[1];
      if (port) resolve({ host: "127.0.0.1", port: Number(port) });
    });
    child.once("exit", (code) => reject(new Error(`the registry ended with ${code}:\n${text}`)));
  });
}

export interface JobsStream {
  broker: Broker;
  /** The last event of each job, as a ticker would know it. */
  events: Map<string, JobEvent>;
  /** Stream sequences of those. */
  sequences: Map<string, number>;
  /** Resolves when the condition holds, asked after each event. */
  until(condition: (events: Map<string, JobEvent>) => boolean): Promise<void>;
  stop(): Promise<void>;
}

/** Follows JOBS as a ticker does. */
export async function followJobs(url: string): Promise<JobsStream> {
  const broker = createBroker({ url, name: "test-ticker" }, { clock: systemClock, log });
  await broker.start();
  const events = new Map<string, JobEvent>();
  const sequences = new Map<string, number>();
  const waiting = new Set<() => void>();
  const follower = createFollower(
    broker,
    { clock: systemClock, log },
    {
      stream: streams.jobs,
      subjects: [subjects.jobs],
      from: "state",
      onMessage(message) {
        const event = fromBinary(JobEventSchema, message.data);
        events.set(event.jobId, event);
        sequences.set(event.jobId, message.seq);
        for (const check of waiting) check();
      },
    },
  );
  await follower.start();
  return {
    broker,
    events,
    sequences,
    until(condition) {
      return new Promise((resolve) => {
        const check = () => {
          if (!condition(events)) return;
          waiting.delete(check);
          resolve();
        };
        waiting.add(check);
        check();
      });
    },
    async stop() {
      await follower.stop();
      await broker.stop();
    },
  };
}

/** The smallest job. */
export const everyHour = { schedule: "@hourly", apiEndpoint: "http://127.0.0.1:9/hook", type: 1 } as const;
