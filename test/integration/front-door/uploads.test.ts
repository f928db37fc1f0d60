import { request as httpRequest } from "node:http";
import { gzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { converse, type FrontDoor, reasonOf, startFrontDoor, statusesIn } from "../../support/front-door.ts";

let door: FrontDoor;
beforeEach(async () => {
  door = await startFrontDoor();
});
afterEach(() => door.server.stop());

const job = { schedule: "*/5 * * * * *", api_endpoint: "http://127.0.0.1:1/hook", type: "ATLEAST_ONCE" };

test("a body over the limit is 413", async () => {
  const { status, json } = await door.call("POST", "/jobs", { ...job, http: { body: "x".repeat(400_000) } });
  expect([status, json.error.code, reasonOf({ json })]).toEqual([413, 413, "REQUEST_TOO_LARGE"]);
});

test("a body as long as it may be is taken, and none that is longer", async () => {
  const text = JSON.stringify(job);
  expect((await door.call("POST", "/jobs", text.padEnd(300_000))).status).toBe(200);
  expect((await door.call("POST", "/jobs", text.padEnd(300_001))).status).toBe(413);
});

describe("a refused upload is answered, and the same connection serves the next request", () => {
  const rpc = "/carillon.v1.JobService/CreateJob";
  const faces: [string, string, number, string][] = [
    ["/jobs", "application/json", 413, "REQUEST_TOO_LARGE"],
    [rpc, "application/json", 429, "resource_exhausted"],
    [rpc, "application/proto", 429, "resource_exhausted"],
    [rpc, "application/grpc-web+proto", 200, "grpc-status: 8"],
  ];
  const next = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
  const piece = "x".repeat(100_000);
  const pieces = 40;

  test.each(faces)("%s as %s, without a length", async (path, contentType, status, word) => {
    const head = `POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: ${contentType}\r\nTransfer-Encoding: chunked\r\n\r\n`;
    const chunk = `${piece.length.toString(16)}\r\n${piece}\r\n`;
    const chunks = Array.from({ length: pieces }, () => chunk);
    const text = await converse(door.server, 2, head, ...chunks, "0\r\n\r\n", next);
    expect(statusesIn(text)).toEqual([status, 200]);
    expect(text).toContain(word);
  });

  test.each(faces)("%s as %s, with its length", async (path, contentType, status, word) => {
    const length = piece.length * pieces;
    const head = `POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: ${contentType}\r\nContent-Length: ${length}\r\n\r\n`;
    // The first bytes of gRPC-Web are an envelope that says how much is to come.
    const envelope = "\0\0\x3d\x09\x00";
    const body = [envelope, piece.slice(envelope.length), ...Array.from({ length: pieces - 1 }, () => piece)];
    const text = await converse(door.server, 2, head, ...body, next);
    expect(statusesIn(text)).toEqual([status, 200]);
    expect(text).toContain(word);
  });
});

test("an archive that unpacks past the limit is 413", async () => {
  const bomb = gzipSync(Buffer.alloc(50_000_000));
  expect((await door.call("POST", "/jobs", bomb, { "content-encoding": "gzip" })).status).toBe(413);
});

test("a client that asks first is told before it sends", async () => {
  const expecting = (bytes: number) =>
    new Promise<[number | undefined, string | undefined]>((resolve, reject) => {
      const sent = httpRequest(door.url("/jobs"), {
        method: "POST",
        headers: { expect: "100-continue", "content-length": bytes, "content-type": "application/json" },
      });
      sent.on("continue", () => sent.end(JSON.stringify(job).padEnd(bytes)));
      sent.on("error", reject).on("response", (response) => {
        resolve([response.resume().statusCode, response.headers.connection]);
      });
      sent.flushHeaders();
    });
  expect(await expecting(1000)).toEqual([200, "keep-alive"]);
  // The body stays with the client: nothing that follows on the connection could be told from it.
  expect(await expecting(1_000_000)).toEqual([413, "close"]);
});
