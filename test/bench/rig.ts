import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { Client, credentials } from "@grpc/grpc-js";
import {
  BatchCreateJobsRequestSchema,
  BatchCreateJobsResponseSchema,
  CreateJobRequestSchema,
  DeleteJobRequestSchema,
  type Job,
  JobSchema,
  JobType,
} from "../../gen/carillon/v1/job_pb.ts";
import { type System, startSystem } from "../support/system.ts";
import { createGrpcLoad } from "./grpc-load.ts";
import { type Usage, usageOf } from "./procfs.ts";
import type { Report } from "./target-process.ts";

/** The system under measure, its target and a client, each a process of its own but the client. */
export interface Rig {
  /** Creates jobs through BatchCreateJobs and answers with their ids. `define` gives what differs from a plain call of the target. */
  createJobs(
    count: number,
    schedule: string,
    define?: (index: number) => MessageInitShape<typeof JobSchema>,
  ): Promise<string[]>;
  /** A URL of the target, under one of some thousand origins that it has. */
  url(origin: number): string;
  /** The running system. */
  readonly system: System;
  /** Calls that are encoded once and whose answers are not decoded, so that the client takes little of the machine. Each answers how many jobs it created. */
  creates(schedule: string): { unary(): Promise<number>; batch(): Promise<number> };
  deleteJobs(jobIds: readonly string[]): Promise<void>;
  /** Changes that have not reached the broker yet. */
  outboxDepth(): Promise<number>;
  /** Messages in a stream, some seconds ago. */
  backlog(stream: string): Promise<number>;
  report(fromSecond: number, toSecond: number): Promise<Report>;
  forget(): void;
  usage(): Record<string, Usage>;
  stop(): Promise<void>;
}

const jobService = "/carillon.v1.JobService/";
const batchSize = 1_000;
const batchBytes = 2_000_000;
const deletesAtOnce = 64;
const services = ["registry", "ticker", "executor", "history", "nats-server"] as const;

const running = new Set<Rig>();

/** Stops every system that runs: for whoever is interrupted. */
export async function stopAll(): Promise<void> {
  await Promise.all([...running].map((rig) => rig.stop()));
}

export async function startRig(env: Record<string, string> = {}): Promise<Rig> {
  const target = fork(new URL("./target-process.ts", import.meta.url), { stdio: "inherit" });
  const [{ port }] = (await once(target, "message")) as [{ port: number }];
  const system = await startSystem({ env: { CARILLON_LOG_LEVEL: "warn", ...env } }).catch((error) => {
    target.kill();
    throw error;
  });
  const client = new Client(system.grpcAddr, credentials.createInsecure());
  const load = createGrpcLoad(system.grpcAddr);
  const url = (origin: number) => loopbackUrl(origin, port);
  const job = (schedule: string, fields: MessageInitShape<typeof JobSchema> = {}) =>
    create(JobSchema, { schedule, apiEndpoint: url(0), type: JobType.ATLEAST_ONCE, ...fields });
  const gauge = async (sample: RegExp) => {
    const metrics = await (await fetch(`${system.httpUrl}/metrics`)).text();
    return Number(sample.exec(metrics)?.[1]);
  };
  const rig: Rig = {
    url,
    system,
    async createJobs(count, schedule, define = () => ({})) {
      const ids: string[] = [];
      for (let done = 0; done < count; ) {
        const jobs: Job[] = [];
        let bytesSoFar = 0;
        while (done < count && jobs.length < batchSize && bytesSoFar < batchBytes) {
          const one = job(schedule, define(done++));
          bytesSoFar += one.http?.body?.length ?? 0;
          jobs.push(one);
        }
        const bytes = batchOf(jobs);
        const answer = fromBinary(BatchCreateJobsResponseSchema, await call(client, "BatchCreateJobs", bytes));
        ids.push(...answer.jobs.map(({ jobId }) => jobId));
      }
      return ids;
    },
    creates(schedule) {
      const one = toBinary(CreateJobRequestSchema, create(CreateJobRequestSchema, { job: job(schedule) }));
      const many = batchOf(Array.from({ length: batchSize }, () => job(schedule)));
      return {
        unary: () => load.call(`${jobService}CreateJob`, one).then(() => 1),
        batch: () => load.call(`${jobService}BatchCreateJobs`, many).then(() => batchSize),
      };
    },
    async deleteJobs(ids) {
      for (let done = 0; done < ids.length; done += deletesAtOnce) {
        await Promise.all(
          ids
            .slice(done, done + deletesAtOnce)
            .map((jobId) =>
              call(client, "DeleteJob", toBinary(DeleteJobRequestSchema, create(DeleteJobRequestSchema, { jobId }))),
            ),
        );
      }
    },
    outboxDepth: () => gauge(/^carillon_outbox_depth(?:\{[^}]*\})? (\d+)/m),
    backlog: (stream) => gauge(new RegExp(`^carillon_stream_backlog\\{[^}]*stream="${stream}"[^}]*\\} (\\d+)`, "m")),
    async report(from, to) {
      target.send({ report: from, to });
      const [report] = (await once(target, "message")) as [Report];
      return report;
    },
    forget: () => target.send({ reset: true }),
    usage: () => ({
      ...Object.fromEntries(services.map((name) => [name, usageOf(system.pidOf(name))])),
      target: usageOf(target.pid ?? 0),
    }),
    async stop() {
      if (!running.delete(rig)) return;
      load.close();
      await stop(system, client, target);
    },
  };
  running.add(rig);
  return rig;
}

async function stop(system: System, client: Client, target: ChildProcess): Promise<void> {
  client.close();
  await system.stop();
  target.disconnect();
  await once(target, "exit");
}

/** Each loopback address is an origin of its own, and one listener has them all. */
export function loopbackUrl(origin: number, port: number): string {
  return `http://127.0.${Math.floor(origin / 250)}.${(origin % 250) + 1}:${port}/hook`;
}

function batchOf(jobs: readonly Job[]): Uint8Array {
  const requests = jobs.map((job) => create(CreateJobRequestSchema, { job }));
  return toBinary(BatchCreateJobsRequestSchema, create(BatchCreateJobsRequestSchema, { requests }));
}

const identity = (bytes: Uint8Array) => Buffer.from(bytes);

function call(client: Client, method: string, bytes: Uint8Array): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      jobService + method,
      identity,
      (answer: Buffer) => new Uint8Array(answer),
      bytes,
      (error, answer) => (error ? reject(error) : resolve(answer ?? new Uint8Array())),
    );
  });
}
