import { gzipSync } from "node:zlib";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { WatchExecutionsRequestSchema } from "../../gen/carillon/v1/execution_pb.ts";
import { CreateJobRequestSchema, JobSchema } from "../../gen/carillon/v1/job_pb.ts";
import { StatusSchema } from "../../gen/google/rpc/status_pb.ts";
import { fromStatus } from "../../services/platform/rpc/errors/error-details.ts";
import type { RpcError } from "../../services/platform/rpc/errors/rpc-error.ts";
import { job } from "../support/faces-refusals.ts";
import { type FrontDoor, startFrontDoor } from "../support/front-door.ts";

// gRPC-Web and Connect by hand: what a client may send and ours does not.

let door: FrontDoor;
beforeAll(async () => {
  door = await startFrontDoor();
});
afterAll(() => door.server.stop());

const trailerFlag = 0x80;
const compressedFlag = 1;

interface Reply {
  message?: Buffer;
  refusal?: RpcError;
}

async function send(
  message: string | Uint8Array,
  contentType: string,
  { flags = 0, headers = {} }: { flags?: number; headers?: Record<string, string> } = {},
): Promise<Reply> {
  const response = await fetch(door.url("/carillon.v1.JobService/CreateJob"), {
    method: "POST",
    headers: { "content-type": contentType, ...headers },
    body: envelope(message, flags),
  });
  expect(response.status).toBe(200);
  return openReply(Buffer.from(await response.arrayBuffer()));
}

function envelope(message: string | Uint8Array, flags: number): Buffer {
  const bytes = Buffer.from(message as Uint8Array);
  const head = Buffer.alloc(5);
  head.writeUInt8(flags, 0);
  head.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
}

function openReply(bytes: Buffer): Reply {
  const reply: Reply = {};
  for (let at = 0; at < bytes.length; ) {
    const part = bytes.subarray(at + 5, at + 5 + bytes.readUInt32BE(at + 1));
    if ((bytes.readUInt8(at) & trailerFlag) === 0) reply.message = part;
    const details = /^grpc-status-details-bin: (.*)\r$/im.exec(part.toString("latin1"))?.[1];
    if (details) reply.refusal = fromStatus(fromBinary(StatusSchema, Buffer.from(details, "base64")));
    at += 5 + part.length;
  }
  return reply;
}

const request = toBinary(CreateJobRequestSchema, create(CreateJobRequestSchema, { job }));

describe("gRPC-Web refuses as the other faces do", () => {
  test("a message that is none", async () => {
    const { refusal } = await send(Uint8Array.of(0x0a, 0xff), "application/grpc-web+proto");
    expect(refusal).toMatchObject({ code: "INVALID_ARGUMENT", reason: "MALFORMED_REQUEST" });
    expect(refusal?.message).toMatch(/^the request is no carillon\.v1\.CreateJobRequest: /);
  });

  test("a message that is too large, also when it was packed", async () => {
    const large = Buffer.alloc(400_000);
    const tooLarge = { code: "RESOURCE_EXHAUSTED", reason: "REQUEST_TOO_LARGE", metadata: { limit_bytes: "300000" } };
    expect((await send(large, "application/grpc-web+proto")).refusal).toMatchObject(tooLarge);
    const packed = { flags: compressedFlag, headers: { "grpc-encoding": "gzip" } };
    expect((await send(gzipSync(large), "application/grpc-web", packed)).refusal).toMatchObject(tooLarge);
  });

  test("an encoding that is not known", async () => {
    const packed = { flags: compressedFlag, headers: { "grpc-encoding": "zstd" } };
    const { refusal } = await send(request, "application/grpc-web", packed);
    expect(refusal).toMatchObject({ code: "INVALID_ARGUMENT", reason: "UNSUPPORTED_MEDIA_TYPE" });
  });

  test("an unknown field in JSON", async () => {
    const { refusal } = await send('{"job":{"shedule":"x"}}', "application/grpc-web+json; charset=utf-8");
    expect(refusal).toMatchObject({
      code: "INVALID_ARGUMENT",
      reason: "UNKNOWN_FIELD",
      fieldViolations: [{ field: "job.shedule", description: "unknown field; did you mean schedule?" }],
    });
  });
});

describe("gRPC-Web takes what the other faces take", () => {
  test.each(["application/grpc-web", "application/grpc-web+proto"])("%s", async (contentType) => {
    const { message } = await send(request, contentType);
    expect(fromBinary(JobSchema, message ?? Buffer.alloc(0)).schedule).toBe(job.schedule);
  });

  test("a packed message", async () => {
    const packed = { flags: compressedFlag, headers: { "grpc-encoding": "gzip" } };
    expect((await send(gzipSync(request), "application/grpc-web+proto", packed)).message).toBeDefined();
  });

  test("a message as long as they may be, and none that is longer", async () => {
    const json = JSON.stringify({ job });
    expect((await send(json.padEnd(300_000), "application/grpc-web+json")).message).toBeDefined();
    expect((await send(json.padEnd(300_001), "application/grpc-web+json")).refusal).toMatchObject({
      reason: "REQUEST_TOO_LARGE",
    });
  });

  test("JSON with short enum names and snake_case", async () => {
    const json = '{"job":{"schedule":"@hourly","api_endpoint":"http://x/","type":"ATLEAST_ONCE"}}';
    const { message } = await send(json, "application/grpc-web+json");
    expect(JSON.parse(message?.toString() ?? "")).toMatchObject({ apiEndpoint: "http://x/" });
  });
});

test.each([
  [
    "application/connect+proto",
    toBinary(WatchExecutionsRequestSchema, create(WatchExecutionsRequestSchema, { jobId: "nope" })),
  ],
  ["application/connect+json", Buffer.from('{"job_id":"nope"}')],
])("Connect takes a packed request for a stream, as %s", async (contentType, message) => {
  const response = await fetch(door.url("/carillon.v1.ExecutionService/WatchExecutions"), {
    method: "POST",
    headers: { "content-type": contentType, "connect-content-encoding": "gzip" },
    body: envelope(gzipSync(message), compressedFlag),
  });
  expect(await response.text()).toContain('"code":"not_found"');
});
