import { execFile } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { create, toBinary } from "@bufbuild/protobuf";
import { credentials, Client as GrpcChannel, loadPackageDefinition, type ServiceError, status } from "@grpc/grpc-js";
import { pino } from "pino";
import { afterEach, expect, test } from "vitest";
import { ExecutionService } from "../../../gen/carillon/v1/execution_pb.ts";
import { CreateJobRequestSchema, JobService, JobType } from "../../../gen/carillon/v1/job_pb.ts";
import { systemClock } from "../../../services/platform/process/clock.ts";
import { formatAddress } from "../../../services/platform/process/environment.ts";
import { createGrpcClient } from "../../../services/platform/rpc/grpc/grpc-client.ts";
import { createGrpcServer, type GrpcServer } from "../../../services/platform/rpc/grpc/grpc-server.ts";
import { createFakeBackend, type FakeBackend } from "../../support/faces-service.ts";

const run = promisify(execFile);
const log = pino({ level: "silent" });
const loopback = { host: "127.0.0.1", port: 0 };
const stops: (() => Promise<void> | void)[] = [];

afterEach(async () => {
  for (const stop of stops.splice(0).toReversed()) await stop();
});

async function startServer(backend: FakeBackend, address = loopback): Promise<GrpcServer> {
  const server = createGrpcServer({ address }, { services: backend.services, log, clock: systemClock });
  stops.push(() => server.stop());
  await server.start();
  return server;
}

function clientOf<S extends typeof JobService | typeof ExecutionService>(
  service: S,
  server: GrpcServer,
  token?: string,
) {
  const config = { address: server.address(), ...(token !== undefined && { token }) };
  const client = createGrpcClient(service, config, { clock: systemClock });
  stops.push(() => client.close());
  return client;
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const collected: T[] = [];
  for await (const item of items) collected.push(item);
  return collected;
}

const job = { schedule: "* * * * * *", apiEndpoint: "http://127.0.0.1/", type: JobType.ATLEAST_ONCE };

test("a unary call answers, and its errors carry code, reason, fields and readable text", async () => {
  const server = await startServer(createFakeBackend());
  const jobs = clientOf(JobService, server);
  expect((await jobs.createJob({ job })).jobId).toBe("job-1");
  await expect(jobs.getJob({ jobId: "größe 100% \u{1F600}" })).rejects.toMatchObject({
    code: "NOT_FOUND",
    message: 'there is no job "größe 100% \u{1F600}"',
    reason: "JOB_NOT_FOUND",
    metadata: { job_id: "größe 100% \u{1F600}" },
  });
  await expect(jobs.createJob({ job: { ...job, schedule: "" } })).rejects.toMatchObject({
    code: "INVALID_ARGUMENT",
    message: "job.schedule: value is required",
    fieldViolations: [{ field: "job.schedule", description: "value is required" }],
  });
});

test("a surprise is told to the log under the id that the client gets", async () => {
  const backend = createFakeBackend();
  const server = await startServer(backend);
  const error = await clientOf(JobService, server)
    .createJob({ job: { ...job, displayName: "explode" } })
    .catch((e) => e);
  expect(error).toMatchObject({ code: "INTERNAL", reason: "INTERNAL" });
  expect(error.message).not.toContain("fire");
  expect(backend.errors).toMatchObject(
    [{ errorId: error.metadata.error_id, err: { message: /on fire/ } }].map((e) => ({ errorId: e.errorId })),
  );
});

test("a batch of a thousand bad jobs gets an error that fits into trailers", async () => {
  const server = await startServer(createFakeBackend());
  const requests = Array.from({ length: 1000 }, () => ({ job: {} }));
  const error = await clientOf(JobService, server)
    .batchCreateJobs({ requests })
    .catch((e) => e);
  expect(error).toMatchObject({ code: "INVALID_ARGUMENT", reason: "INVALID_FIELD" });
  expect(error.fieldViolations.length).toBeGreaterThan(10);
});

test("a request over the limit is refused as too large, and the connection goes on", async () => {
  const server = await startServer(createFakeBackend());
  const jobs = clientOf(JobService, server);
  const body = "x".repeat(17 * 1024 * 1024);
  await expect(jobs.createJob({ job: { ...job, http: { body } } })).rejects.toMatchObject({
    code: "RESOURCE_EXHAUSTED",
    message: /larger than max/,
  });
  expect((await jobs.createJob({ job })).jobId).toBe("job-1");
});

test("bytes that are no message are INVALID_ARGUMENT", async () => {
  const server = await startServer(createFakeBackend());
  const channel = new GrpcChannel(formatAddress(server.address()), credentials.createInsecure());
  stops.push(() => channel.close());
  const error = await new Promise<ServiceError | null>((resolve) => {
    channel.makeUnaryRequest(
      "/carillon.v1.JobService/CreateJob",
      (b: Buffer) => b,
      (b) => b,
      Buffer.from([0x0a, 0xff]),
      resolve,
    );
  });
  expect(error?.code).toBe(3);
});

test("a token is asked for when tokens are set", async () => {
  const server = await startServer(createFakeBackend({ tokens: ["s3cret", "other"] }));
  await expect(clientOf(JobService, server).listJobs({})).rejects.toMatchObject({
    code: "UNAUTHENTICATED",
    reason: "CREDENTIALS_MISSING",
  });
  await expect(clientOf(JobService, server, "wrong").listJobs({})).rejects.toMatchObject({
    reason: "CREDENTIALS_INVALID",
  });
  await expect(clientOf(JobService, server, "other").listJobs({})).resolves.toMatchObject({ jobs: [] });
});

test("a stream arrives in order, and its cancellation reaches the handler", async () => {
  const backend = createFakeBackend();
  const server = await startServer(backend);
  const { jobId } = await clientOf(JobService, server).createJob({ job });
  const cancel = new AbortController();
  const seen: string[] = [];
  const watching = (async () => {
    for await (const execution of clientOf(ExecutionService, server).watchExecutions(
      { jobId },
      { signal: cancel.signal },
    )) {
      seen.push(execution.executionId);
      if (seen.length === 3) cancel.abort();
    }
  })();
  await expect(watching).rejects.toMatchObject({ code: "CANCELLED" });
  await backend.watchEnded(jobId);
  expect(seen).toEqual(["job-1-1", "job-1-2", "job-1-3"]);
});

test("breaking out of a stream ends it at the server", async () => {
  const backend = createFakeBackend();
  const server = await startServer(backend);
  const { jobId } = await clientOf(JobService, server).createJob({ job });
  for await (const _ of clientOf(ExecutionService, server).watchExecutions({ jobId })) break;
  await backend.watchEnded(jobId);
});

test("a deadline reaches the handler and the client", async () => {
  const backend = createFakeBackend();
  const server = await startServer(backend);
  const { jobId } = await clientOf(JobService, server).createJob({ job });
  const watching = collect(clientOf(ExecutionService, server).watchExecutions({ jobId }, { timeoutMs: 300 }));
  await expect(watching).rejects.toMatchObject({ code: "DEADLINE_EXCEEDED" });
  await backend.watchEnded(jobId);
});

test("a stopping server ends its streams, and a client finds the next one with its next call", async () => {
  const backend = createFakeBackend();
  const server = await startServer(backend);
  const jobs = clientOf(JobService, server);
  const { jobId } = await jobs.createJob({ job });
  const watching = collect(clientOf(ExecutionService, server).watchExecutions({ jobId }));
  watching.catch(() => undefined);
  await backend.watchStarted(jobId);
  await server.stop();
  await expect(watching).rejects.toMatchObject({ code: "UNAVAILABLE", reason: "SERVER_STOPPING" });
  for (let i = 0; i < 5; i++) await expect(jobs.getJob({ jobId })).rejects.toMatchObject({ code: "UNAVAILABLE" });
  await startServer(backend, server.address());
  expect((await jobs.getJob({ jobId })).jobId).toBe(jobId);
});

test("a stopping server ends the streams of health and reflection, too, and cuts nothing off", async () => {
  const cutOff: unknown[] = [];
  const { services } = createFakeBackend();
  const warnings = pino({ level: "warn" }, { write: (line: string) => cutOff.push(line) });
  const server = createGrpcServer({ address: loopback }, { services, log: warnings, clock: systemClock });
  await server.start();
  const channel = new GrpcChannel(formatAddress(server.address()), credentials.createInsecure());
  stops.push(() => channel.close());
  const asIs = (bytes: Buffer) => bytes;
  const watch = channel.makeServerStreamRequest("/grpc.health.v1.Health/Watch", asIs, asIs, Buffer.alloc(0));
  const path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
  const reflection = channel.makeBidiStreamRequest(path, asIs, asIs);
  // list_services = "*"
  reflection.write(Buffer.from([0x3a, 1, 0x2a]));
  await Promise.all([once(watch, "data"), once(reflection, "data")]);
  const ends = [watch, reflection].map((stream) => once(stream.resume(), "error"));
  await server.stop();
  for (const [error] of await Promise.all(ends)) {
    expect(error).toMatchObject({ code: status.UNAVAILABLE, details: "the server is stopping" });
  }
  expect(cutOff).toEqual([]);
});

test("health tells SERVING for each service, and reflection describes them without proto files", async () => {
  const server = await startServer(createFakeBackend());
  const { loadSync } = await import("@grpc/proto-loader");
  const { protoPath } = await import("grpc-health-check");
  const folder = new URL("../../../node_modules/@grpc/reflection/build/proto/", import.meta.url).pathname;
  // biome-ignore lint/suspicious/noExplicitAny: loaded at run time, as a stranger's client would
  const health: any = loadPackageDefinition(loadSync(protoPath, { enums: String }));
  const address = formatAddress(server.address());
  const checker = new health.grpc.health.v1.Health(address, credentials.createInsecure());
  stops.push(() => checker.close());
  for (const service of ["", "carillon.v1.JobService", "carillon.v1.ExecutionService"]) {
    const answer = await new Promise((resolve, reject) =>
      checker.check({ service }, (error: unknown, value: unknown) => (error ? reject(error) : resolve(value))),
    );
    expect(answer).toEqual({ status: "SERVING" });
  }
  for (const version of ["v1", "v1alpha"]) {
    // biome-ignore lint/suspicious/noExplicitAny: as above
    const loaded: any = loadPackageDefinition(loadSync(`${folder}grpc/reflection/${version}/reflection.proto`));
    const client = new loaded.grpc.reflection[version].ServerReflection(address, credentials.createInsecure());
    stops.push(() => client.close());
    const stream = client.serverReflectionInfo();
    // biome-ignore lint/suspicious/noExplicitAny: as above
    const ask = (request: object): Promise<any> =>
      new Promise((resolve, reject) => {
        stream.once("data", resolve).once("error", reject);
        stream.write(request);
      });
    const listed = await ask({ listServices: "*" });
    expect(listed.listServicesResponse.service.map((s: { name: string }) => s.name).sort()).toEqual([
      "carillon.v1.DeadExecutionService",
      "carillon.v1.ExecutionService",
      "carillon.v1.JobService",
      "grpc.health.v1.Health",
    ]);
    const files = await ask({ fileContainingSymbol: "carillon.v1.JobService" });
    expect(files.fileDescriptorResponse.fileDescriptorProto.length).toBeGreaterThan(1);
    const imported = await ask({ fileByFilename: "google/api/annotations.proto" });
    expect(imported.fileDescriptorResponse).toBeTruthy();
    stream.end();
  }
});

test("an unknown field in a binary request is refused by number", async () => {
  const server = await startServer(createFakeBackend());
  const channel = new GrpcChannel(formatAddress(server.address()), credentials.createInsecure());
  stops.push(() => channel.close());
  const request = Buffer.concat([
    toBinary(CreateJobRequestSchema, create(CreateJobRequestSchema, { job })),
    Buffer.from([0x98, 0x06, 0x01]),
  ]);
  const error = await new Promise<ServiceError | null>((resolve) => {
    channel.makeUnaryRequest(
      "/carillon.v1.JobService/CreateJob",
      (b: Buffer) => b,
      (b) => b,
      request,
      resolve,
    );
  });
  expect(error?.details).toBe("carillon.v1.CreateJobRequest has no field with number 99 in this version");
});

test("a client in Go finds and calls each service by reflection alone", async () => {
  const server = await startServer(createFakeBackend());
  const buf = fileURLToPath(new URL("../../../node_modules/.bin/buf", import.meta.url));
  const curl = async (path: string, ...args: string[]) => {
    const url = `http://${formatAddress(server.address())}${path}`;
    return (await run(buf, ["curl", "--http2-prior-knowledge", "--protocol", "grpc", url, ...args])).stdout;
  };
  expect((await curl("", "--list-services")).trim().split("\n")).toEqual([
    "carillon.v1.DeadExecutionService",
    "carillon.v1.ExecutionService",
    "carillon.v1.JobService",
    "grpc.health.v1.Health",
  ]);
  const request = { job: { schedule: "@hourly", api_endpoint: "http://x/", type: "JOB_TYPE_ATLEAST_ONCE" } };
  for (const version of ["grpc-v1", "grpc-v1alpha"]) {
    const data = ["--reflect-protocol", version, "-d", JSON.stringify(request)];
    expect(JSON.parse(await curl("/carillon.v1.JobService/CreateJob", ...data))).toMatchObject({ schedule: "@hourly" });
  }
  expect(JSON.parse(await curl("/grpc.health.v1.Health/Check", "-d", "{}"))).toEqual({ status: "SERVING" });
});
