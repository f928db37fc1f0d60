import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { systemClock } from "../../../services/platform/process/clock.ts";
import { formatAddress } from "../../../services/platform/process/environment.ts";
import { createGrpcServer, type GrpcServer } from "../../../services/platform/rpc/grpc/grpc-server.ts";
import { type FrontDoor, startFrontDoor } from "../../support/front-door.ts";
import { repositoryDir } from "../../support/nats.ts";

const run = promisify(execFile);
const buf = join(repositoryDir, "node_modules/.bin/buf");
const token = "s3cret";

// By reflection alone: from a folder without any proto file.
describe.each([[[]], [[token]]])("buf curl at a door with the tokens %j", (tokens) => {
  let door: FrontDoor;
  let grpc: GrpcServer;
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "carillon-buf-"));
    door = await startFrontDoor({ tokens });
    const deps = { services: door.backend.services, log: pino({ level: "silent" }), clock: systemClock };
    grpc = createGrpcServer({ address: { host: "127.0.0.1", port: 0 } }, deps);
    await grpc.start();
  });
  afterAll(async () => {
    await door.server.stop();
    await grpc.stop();
    await rm(folder, { recursive: true });
  });

  const curl = (baseUrl: string, protocol: string, method: string, data: object, ...options: string[]) =>
    run(buf, ["curl", "--protocol", protocol, "-d", JSON.stringify(data), ...options, `${baseUrl}/${method}`], {
      cwd: folder,
    });
  const bearer = ["-H", `Authorization: Bearer ${token}`];
  const doors: [string, string, () => string][] = [
    ["the HTTP port", "connect", () => door.url("")],
    ["the HTTP port", "grpcweb", () => door.url("")],
    ["the HTTP port", "grpc", () => door.url("")],
    ["the gRPC port", "grpc", () => `http://${formatAddress(grpc.address())}`],
  ];

  test.each(doors)("calls, streams and is refused at %s over %s", async (_, protocol, urlOf) => {
    const job = { schedule: "@hourly", apiEndpoint: "http://x/", type: "JOB_TYPE_ATLEAST_ONCE", displayName: "three" };
    const made = await curl(urlOf(), protocol, "carillon.v1.JobService/CreateJob", { job }, ...bearer);
    const { jobId, apiEndpoint } = JSON.parse(made.stdout);
    expect(apiEndpoint).toBe("http://x/");
    const watched = await curl(urlOf(), protocol, "carillon.v1.ExecutionService/WatchExecutions", { jobId }, ...bearer);
    expect(watched.stdout.match(/"executionId"/g)).toHaveLength(3);
    const refused = curl(urlOf(), protocol, "carillon.v1.JobService/GetJob", { jobId: "nope" }, ...bearer);
    await expect(refused).rejects.toMatchObject({ stderr: expect.stringContaining('"code": "not_found"') });
    if (tokens.length === 0) return;
    const unknown = curl(urlOf(), protocol, "carillon.v1.JobService/GetJob", { jobId });
    await expect(unknown).rejects.toMatchObject({ stderr: expect.stringContaining('"code": "unauthenticated"') });
  });

  test.each(["connect", "grpcweb", "grpc"])("lists what there is over %s", async (protocol) => {
    const { stdout } = await run(buf, ["curl", "--protocol", protocol, "--list-services", door.url("")], {
      cwd: folder,
    });
    expect(stdout.split("\n")).toEqual(
      expect.arrayContaining([
        "carillon.v1.DeadExecutionService",
        "carillon.v1.ExecutionService",
        "carillon.v1.JobService",
      ]),
    );
  });
});
