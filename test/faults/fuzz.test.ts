import { once } from "node:events";
import { readFileSync } from "node:fs";
import { type ClientHttp2Session, connect as connectHttp2 } from "node:http2";
import { connect } from "node:net";
import pLimit from "p-limit";
import { Agent, request } from "undici";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createDice, type Dice } from "../simulation/random.ts";
import { junkBytes } from "../support/fuzz/junk.ts";
import { type FuzzRequest, fuzzRequest } from "../support/fuzz/requests.ts";
import { type RestClient, restClient } from "../support/rest.ts";
import { type System, startSystem } from "../support/system.ts";

const requests = 15_000;
// Whoever waits for longer hangs: the longest deadline that a request here may have is its own.
const hangsAfterMs = 30_000;
const mib = 1024 * 1024;

interface Answer {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  body: Buffer;
}

/** Codes that say that the server has not understood itself. */
const ourFault = new Set(["INTERNAL", "UNKNOWN", "DATA_LOSS"]);
const grpcCodes = [
  "OK",
  "CANCELLED",
  "UNKNOWN",
  "INVALID_ARGUMENT",
  "DEADLINE_EXCEEDED",
  "NOT_FOUND",
  "ALREADY_EXISTS",
];
const internal = "13";

/** What is wrong with an answer; undefined when it is as its face gives it. */
function faultOf({ face, path, method }: FuzzRequest, { status, headers, body }: Answer): string | undefined {
  if (status >= 500 && status !== 501 && status !== 503 && status !== 504) return `status ${status}`;
  const text = body.toString();
  if (face === "rest") {
    if (status < 400 || method === "HEAD" || /^\/(docs|readyz)/.test(path)) return undefined;
    const error = parse(text)?.error;
    if (!error || error.code !== status || typeof error.status !== "string" || typeof error.message !== "string") {
      return `${status} not in the form of REST: ${text.slice(0, 200)}`;
    }
    return ourFault.has(error.status) ? error.status : undefined;
  }
  if (face === "connect") {
    if (status === 200)
      return parse(text) === undefined && headers["content-type"] === "application/json" ? "no JSON" : undefined;
    const error = parse(text);
    if (typeof error?.code !== "string") return `${status} not in Connect's form: ${text.slice(0, 200)}`;
    return ourFault.has(error.code.toUpperCase()) ? error.code : undefined;
  }
  const code = String(headers["grpc-status"] ?? /grpc-status: ?(\d+)/i.exec(body.toString("latin1"))?.[1] ?? "");
  if (code === "" || status !== 200) return `${status} without grpc-status: ${text.slice(0, 200)}`;
  // gRPC's own word for what says that it is compressed, and is not (grpc/grpc, doc/compression.md).
  if (code === internal && headers["grpc-message"] === "Failed%20to%20decompress%20message") return undefined;
  return code === internal || code === String(grpcCodes.indexOf("UNKNOWN"))
    ? `grpc-status ${code} ${headers["grpc-message"] ?? text}`
    : undefined;
}

// biome-ignore lint/suspicious/noExplicitAny: the body of an arbitrary answer
function parse(text: string): any {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

describe("all faces under a rain of broken requests", { timeout: 300_000 }, () => {
  let system: System;
  let rest: RestClient;
  let agent: Agent;
  let session: ClientHttp2Session;
  let ids: string[];

  beforeAll(async () => {
    system = await startSystem();
    rest = restClient(system.httpUrl);
    agent = new Agent({ connections: 32, headersTimeout: hangsAfterMs, bodyTimeout: hangsAfterMs });
    session = connectHttp2(`http://${system.grpcAddr}`);
    const job = { schedule: "@yearly", type: "ATLEAST_ONCE", api_endpoint: "http://127.0.0.1:9/" };
    const made = await Promise.all(Array.from({ length: 10 }, () => rest.post("/jobs", job)));
    ids = made.map(({ body }) => body.job_id);
  });
  afterAll(async () => {
    session.destroy();
    await agent.destroy();
    await system.stop();
  });

  const overHttp1 = async ({ method, path, headers, body }: FuzzRequest): Promise<Answer> => {
    const answer = await request(system.httpUrl + path, {
      method: method as "GET",
      headers,
      body: body ?? null,
      dispatcher: agent,
    });
    return { status: answer.statusCode, headers: answer.headers, body: Buffer.from(await answer.body.arrayBuffer()) };
  };
  const overHttp2 = async ({ path, headers, body }: FuzzRequest): Promise<Answer> => {
    if (session.destroyed || session.closed) session = connectHttp2(`http://${system.grpcAddr}`);
    const stream = session.request({ ":method": "POST", ":path": path, ...headers });
    stream.setTimeout(hangsAfterMs, () => stream.destroy(new Error("no answer")));
    const chunks: Buffer[] = [];
    let status = 0;
    let all: Answer["headers"] = {};
    stream.on("response", (head) => {
      status = Number(head[":status"]);
      all = { ...all, ...head };
    });
    stream.on("trailers", (trailers) => {
      all = { ...all, ...trailers };
    });
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    stream.end(body);
    await once(stream, "close");
    return { status, headers: all, body: Buffer.concat(chunks) };
  };
  const residentBytes = () => {
    const pages = Number(readFileSync(`/proc/${system.pidOf("registry")}/statm`, "utf8").split(" ")[1]);
    return pages * 4_096;
  };

  it("answers each in its face's form, with no fault of its own, hangs on none, and keeps no memory of them", async () => {
    const seed = Number(process.env.FUZZ_SEED ?? 1);
    const dice = createDice(seed);
    const limit = pLimit(24);
    const faults: string[] = [];
    const statuses = new Map<string, number>();
    const one = async (sent: FuzzRequest) => {
      const answer = await (sent.face === "grpc" ? overHttp2 : overHttp1)(sent).catch((error: Error) => error);
      // A server may close a connection whose rest it does not read; undici says so.
      const fault = answer instanceof Error ? `${answer.name}: ${answer.message}` : faultOf(sent, answer);
      if (fault !== undefined)
        faults.push(`${sent.face} ${sent.method} ${sent.path} ${JSON.stringify(sent.headers)}: ${fault}`);
      // Others are deleted: there are to be some.
      const made =
        answer instanceof Error || sent.face !== "rest" || sent.method !== "POST"
          ? ""
          : parse(String(answer.body))?.job_id;
      if (typeof made === "string" && made !== "") ids[dice.between(0, ids.length - 1)] = made;
      const kind = `${sent.face} ${answer instanceof Error ? answer.name : answer.status}`;
      statuses.set(kind, (statuses.get(kind) ?? 0) + 1);
    };
    const rain = (count: number) =>
      Promise.all(Array.from({ length: count }, () => limit(() => one(fuzzRequest(dice, ids)))));
    await rain(requests / 3);
    const before = residentBytes();
    await rain(requests / 3);
    await rain(requests / 3);
    const grown = residentBytes() - before;
    console.log(
      Object.fromEntries([...statuses].sort()),
      `grown by ${Math.round(grown / mib)} MiB from ${Math.round(before / mib)}`,
    );
    expect(faults.slice(0, 20)).toEqual([]);
    expect(grown).toBeLessThan(150 * mib);
  });

  it("lets others in while hundreds send nothing, or never end, or come and go", async () => {
    const dice = createDice(7);
    const job = { schedule: "@yearly", type: "ATLEAST_ONCE", api_endpoint: "http://127.0.0.1:9/" };
    const path = `/jobs/${(await rest.post("/jobs", job)).body.job_id}`;
    const before = residentBytes();
    const { hostname, port } = new URL(system.httpUrl);
    const grpcPort = Number(system.grpcAddr.split(":").at(-1));
    const sockets = Array.from({ length: 300 }, (_, i) => {
      const socket = connect(i % 3 === 0 ? grpcPort : Number(port), hostname);
      socket.on("error", () => undefined);
      socket.on("connect", () => socket.write(slow(dice, i)));
      return socket;
    });
    for (let i = 0; i < 200; i++) {
      const abort = new AbortController();
      const url = `${system.httpUrl}${path}/executions:watch`;
      const watch = await fetch(url, {
        headers: { accept: dice.pick(["text/event-stream", "application/json"]) },
        signal: abort.signal,
      });
      expect(watch.status).toBe(200);
      abort.abort();
    }
    expect((await rest.get(path)).status).toBe(200);
    for (const socket of sockets) socket.destroy();
    expect(residentBytes() - before).toBeLessThan(150 * mib);
    expect((await rest.get("/readyz")).status).toBe(200);
    expect(system.logs()).not.toMatch(/"uncaught|unhandled/i);
  });
});

/** The begin of a request that never ends, or of none. */
function slow(dice: Dice, i: number): Buffer | string {
  const head = "POST /jobs HTTP/1.1\r\nHost: 127.0.0.1\r\n";
  switch (i % 6) {
    case 0:
      return "PRI * HTTP/2.0\r\n\r\nSM";
    case 1:
      return head;
    case 2:
      return `${head}Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"schedule":`;
    case 3:
      return `${head}Transfer-Encoding: chunked\r\n\r\n5\r\n{"a":\r\nzz`;
    case 4:
      return junkBytes(dice);
    default:
      return "";
  }
}
