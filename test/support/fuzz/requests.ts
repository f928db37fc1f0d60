import { create, type DescMethod, toBinary } from "@bufbuild/protobuf";
import { DeadExecutionService } from "../../../gen/carillon/v1/dead_execution_pb.ts";
import { ExecutionService } from "../../../gen/carillon/v1/execution_pb.ts";
import { CreateJobRequestSchema, JobService, JobType } from "../../../gen/carillon/v1/job_pb.ts";
import type { Dice } from "../../simulation/random.ts";
import { encoded, flipped, junkBytes, junkJson, junkText, junkValue, mutated } from "./junk.ts";

export type Face = "rest" | "connect" | "grpc-web" | "grpc";

export interface FuzzRequest {
  face: Face;
  method: string;
  path: string;
  headers: Record<string, string>;
  body: Buffer | undefined;
}

const job = { schedule: "@yearly", api_endpoint: "http://127.0.0.1:9/hook", type: "ATLEAST_ONCE" };
/** Paths with the methods that they take. */
const restPaths: readonly (readonly [string, ...string[]])[] = [
  ["/jobs", "GET", "POST"],
  ["/jobs:batchCreate", "POST"],
  ["/jobs:batchUpdate", "POST"],
  ["/jobs:batchDelete", "POST"],
  ["/jobs:batchGet", "GET"],
  ["/jobs:purge", "POST"],
  ["/jobs/{id}", "GET", "PATCH", "PATCH", "DELETE"],
  ["/jobs/key={id}", "GET", "PATCH", "DELETE"],
  ["/jobs/{id}:pause", "POST"],
  ["/jobs/{id}:resume", "POST"],
  ["/jobs/{id}:run", "POST"],
  ["/jobs/{id}:backfill", "POST"],
  ["/jobs/{id}:audit", "GET"],
  ["/jobs/{id}/executions", "GET"],
  ["/jobs/{id}/dead-executions", "GET"],
  ["/jobs/{id}/dead-executions:redrive", "POST"],
  ["/executions/{id}-1795435200", "GET"],
  ["/executions/{id}-m0123456789abcdef", "GET"],
  ["/dead-executions", "GET"],
  ["/schedules:preview", "POST"],
  ["/docs", "GET"],
  ["/openapi.json", "GET"],
  ["/readyz", "GET"],
  ["/metrics", "GET"],
  ["/nothing/here", "GET"],
];
const rpcs: DescMethod[] = [JobService, ExecutionService, DeadExecutionService].flatMap(({ methods }) => methods);
// Those with an end: what streams is opened, and left, elsewhere.
const unary = rpcs.filter(({ methodKind }) => methodKind === "unary");

const asBody = (dice: Dice, value: unknown) => junkJson(dice.chance(0.6) ? mutated(value, dice) : value, dice);

/** A path of the API for a job that there is, or something like it. */
function junkPath(dice: Dice, template: string, ids: readonly string[]): string {
  const path = template.replace("{id}", () =>
    dice.chance(0.7) ? dice.pick(ids) : encodeURI(junkText(dice).toWellFormed()),
  );
  const query = Array.from({ length: dice.chance(0.6) ? 0 : dice.between(1, 3) }, () => {
    const name = dice.pick(["page_size", "page_token", "request_id", "update_mask", "etag", "reason", "x", "job_id"]);
    const value = dice.chance(0.5) ? junkText(dice) : String(dice.between(-5, 5_000));
    return `${name}=${encodeURIComponent(value.toWellFormed())}`;
  }).join("&");
  const odd = dice.chance(0.05) ? dice.pick(["%", "%ff", "//", "/../", "?&=", ":", "*"]) : "";
  return (path + odd + (query && `?${query}`)).replaceAll(" ", "%20");
}

function rest(dice: Dice, ids: readonly string[]): FuzzRequest {
  const [template, ...own] = dice.pick(restPaths);
  const method = dice.pick(dice.chance(0.9) ? own : ["GET", "POST", "PATCH", "DELETE", "PUT", "OPTIONS", "HEAD"]);
  const contents = dice.pick<unknown>([
    job,
    { requests: [{ job }, { job }] },
    { ...job, http: { method: "PUT", headers: { a: "b" }, timeout: "5s" } },
    {},
  ]);
  const { body, encoding } = encoded(asBody(dice, contents), dice);
  const odd = [
    "application/json; charset=utf-8",
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data",
  ];
  const headers: Record<string, string> = { "content-type": dice.chance(0.9) ? "application/json" : dice.pick(odd) };
  if (encoding !== undefined) headers["content-encoding"] = encoding;
  if (dice.chance(0.1)) headers["if-match"] = dice.pick(['"x"', "*", 'W/"', '"a", "b"', ","]);
  if (dice.chance(0.1)) headers.accept = dice.pick(["text/event-stream", "*/*", "image/png", "application/json;q=0"]);
  return {
    face: "rest",
    method,
    path: junkPath(dice, template, ids),
    headers,
    body: /GET|HEAD/.test(method) ? undefined : body,
  };
}

const pathOf = ({ parent, name }: DescMethod) => `/${parent.typeName}/${name}`;

function messageOf(dice: Dice, ids: readonly string[]): { json: unknown; binary: Buffer } {
  const json = dice.pick<unknown>([
    { job },
    { jobId: dice.pick(ids) },
    { job_id: dice.pick(ids), pageSize: 3 },
    { requests: [{ job }] },
    junkValue(dice),
  ]);
  const request = { job: { schedule: "@yearly", apiEndpoint: "http://127.0.0.1:9/", type: JobType.ATLEAST_ONCE } };
  const binary = toBinary(CreateJobRequestSchema, create(CreateJobRequestSchema, request));
  return { json, binary: dice.chance(0.8) ? flipped(binary, dice) : junkBytes(dice) };
}

function connect(dice: Dice, ids: readonly string[]): FuzzRequest {
  const { json, binary } = messageOf(dice, ids);
  const isJson = dice.chance(0.6);
  const { body, encoding } = encoded(isJson ? asBody(dice, json) : binary, dice);
  const headers: Record<string, string> = { "content-type": isJson ? "application/json" : "application/proto" };
  if (encoding !== undefined) headers["content-encoding"] = encoding;
  if (dice.chance(0.3)) headers["connect-protocol-version"] = dice.pick(["1", "2", "x"]);
  if (dice.chance(0.2)) headers["connect-timeout-ms"] = dice.pick(["0", "1", "100", "99999999999", "-1", "abc"]);
  return { face: "connect", method: "POST", path: pathOf(dice.pick(unary)), headers, body };
}

function envelope(dice: Dice, bytes: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt8(dice.chance(0.8) ? 0 : dice.between(0, 255), 0);
  head.writeUInt32BE(dice.chance(0.85) ? bytes.length : dice.pick([0, 1, bytes.length + 1, 2 ** 32 - 1]), 1);
  const one = Buffer.concat([head, bytes]);
  return dice.chance(0.1) ? Buffer.concat([one, one]) : one;
}

function grpcWeb(dice: Dice, ids: readonly string[]): FuzzRequest {
  const { json, binary } = messageOf(dice, ids);
  const isJson = dice.chance(0.3);
  const headers: Record<string, string> = {
    "content-type": isJson ? "application/grpc-web+json" : "application/grpc-web+proto",
    "x-grpc-web": "1",
  };
  if (dice.chance(0.2)) headers["grpc-timeout"] = dice.pick(["1S", "0m", "100m", "99999999999S", "1x", ""]);
  if (dice.chance(0.1)) headers["grpc-encoding"] = dice.pick(["gzip", "br", "snappy"]);
  const body = envelope(dice, isJson ? asBody(dice, json) : binary);
  return { face: "grpc-web", method: "POST", path: pathOf(dice.pick(unary)), headers, body };
}

function grpc(dice: Dice, ids: readonly string[]): FuzzRequest {
  const { binary } = messageOf(dice, ids);
  const headers: Record<string, string> = { "content-type": "application/grpc", te: "trailers" };
  if (dice.chance(0.2)) headers["grpc-timeout"] = dice.pick(["1S", "100m", "1n", "99999999S"]);
  if (dice.chance(0.1)) headers["grpc-encoding"] = dice.pick(["gzip", "identity"]);
  const path = dice.chance(0.9) ? pathOf(dice.pick(unary)) : "/carillon.v1.JobService/Nothing";
  return { face: "grpc", method: "POST", path, headers, body: envelope(dice, binary) };
}

/** One request out of all that the faces may be sent. `ids`: of jobs that there are. */
export function fuzzRequest(dice: Dice, ids: readonly string[]): FuzzRequest {
  return dice.pick([rest, rest, connect, grpcWeb, grpc])(dice, ids);
}
