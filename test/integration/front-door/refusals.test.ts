import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { converse, type FrontDoor, startFrontDoor } from "../../support/front-door.ts";

// What is refused before any call is made of it, in the form of the face that was asked.

let door: FrontDoor;
beforeAll(async () => {
  door = await startFrontDoor({ tokens: ["s3cret"] });
});
afterAll(() => door.server.stop());

const rpc = "/carillon.v1.JobService/CreateJob";

interface Said {
  status: number;
  headers: Headers;
  body: string;
}

/** The answer to raw bytes. */
async function ask(...parts: string[]): Promise<Said> {
  const text = await converse(door.server, 1, ...parts);
  const [head = "", body = ""] = text.split("\r\n\r\n", 2);
  const [first = "", ...lines] = head.split("\r\n");
  const headers = new Headers(lines.map((line) => line.split(": ", 2) as [string, string]));
  return { status: Number(first.split(" ")[1]), headers, body };
}

const rest = ({ body }: Said) => {
  const { error } = JSON.parse(body);
  return { code: error.code, status: error.status, reason: error.details[0].reason };
};
const connect = ({ body }: Said) => {
  const { code, details } = JSON.parse(body);
  return { code, type: details[0].type, reason: details[0].debug.reason };
};

describe.each(["1.1", "1.0"])("HTTP/%s without a Host that names one", (version) => {
  const hosts: [string, string][] = [
    ["missing", ""],
    ["empty", "Host: \r\n"],
    ["there more than once", "Host: a\r\nHost: a\r\n"],
    ["no host", "Host: a/b\r\n"],
  ];
  const paths = ["/jobs", "/healthz", "/readyz", "/metrics", "/openapi.json", "/docs", "/", "/nothing"];

  test.each(hosts)("a Host that is %s is refused on each face, in its form", async (what, host) => {
    for (const path of paths) {
      const said = await ask(`GET ${path} HTTP/${version}\r\n${host}\r\n`);
      expect(said.status, path).toBe(400);
      expect(rest(said)).toEqual({ code: 400, status: "INVALID_ARGUMENT", reason: "HOST_INVALID" });
      expect(JSON.parse(said.body).error.message).toContain(`${what}: `);
    }
    const post = (type: string) =>
      ask(`POST ${rpc} HTTP/${version}\r\n${host}Content-Type: ${type}\r\nContent-Length: 2\r\n\r\n{}`);
    const overConnect = await post("application/json");
    expect(overConnect.status).toBe(400);
    expect(connect(overConnect)).toEqual({
      code: "invalid_argument",
      type: "google.rpc.ErrorInfo",
      reason: "HOST_INVALID",
    });
    const overWeb = await post("application/grpc-web+proto");
    expect([overWeb.status, overWeb.headers.get("grpc-status"), overWeb.body]).toEqual([200, "3", ""]);
    expect(overWeb.headers.get("content-type")).toBe("application/grpc-web+proto");
    expect(decodeURIComponent(overWeb.headers.get("grpc-message") ?? "")).toMatch(/^the Host header /);
    expect(overWeb.headers.get("grpc-status-details-bin")).toBeTruthy();
  });
});

test("a target in absolute form does not stand for a Host that is missing", async () => {
  expect((await ask("GET http://localhost/healthz HTTP/1.1\r\n\r\n")).status).toBe(400);
});

test.each([
  "a:80",
  "[::1]:8080",
  "127.0.0.1",
  "xn--bcher-kva.example:",
  "under_score.local",
])("the Host %s is taken", async (host) => {
  expect((await ask(`GET /healthz HTTP/1.1\r\nHost: ${host}\r\n\r\n`)).status).toBe(200);
});

describe("in front of Connect's paths", () => {
  const call = (path: string, headers: Record<string, string> = {}, verb = "POST", body = "{}") =>
    ask(
      `${verb} ${path} HTTP/1.1\r\nHost: localhost\r\n${Object.entries({
        "content-type": "application/json",
        "content-length": String(Buffer.byteLength(body)),
        authorization: "Bearer s3cret",
        ...headers,
      })
        .map(([name, value]) => `${name}: ${value}\r\n`)
        .join("")}\r\n${body}`,
    );

  test.each<[string, () => Promise<Said>, number, string, string]>([
    ["no token", () => call(rpc, { authorization: "" }), 401, "unauthenticated", "CREDENTIALS_MISSING"],
    ["another site", () => call(rpc, { origin: "https://evil.example" }), 403, "permission_denied", "CROSS_SITE"],
    ["no such method", () => call("/carillon.v1.JobService/Nope"), 404, "unimplemented", "UNKNOWN_RPC"],
    ["no such service", () => call("/carillon.v1.Nope/Nope"), 404, "unimplemented", "UNKNOWN_RPC"],
    ["no such package", () => call("/grpc.nope.v1.Nope/Nope"), 404, "unimplemented", "UNKNOWN_RPC"],
    ["a wrong verb", () => call(rpc, {}, "PUT"), 405, "invalid_argument", "METHOD_NOT_ALLOWED"],
    [
      "a type that is not known",
      () => call(rpc, { "content-type": "text/html" }),
      415,
      "invalid_argument",
      "UNSUPPORTED_MEDIA_TYPE",
    ],
    ["too much", () => call(rpc, { "content-length": "9999999" }), 429, "resource_exhausted", "REQUEST_TOO_LARGE"],
    ["headers too long", () => call(rpc, { x: "y".repeat(20_000) }), 431, "invalid_argument", "HEADERS_TOO_LARGE"],
    [
      "what is no HTTP",
      () => ask(`POST ${rpc} HTTP/1.1\r\nbad header\r\n\r\n`),
      400,
      "invalid_argument",
      "MALFORMED_REQUEST",
    ],
  ])("%s is refused in its form", async (_, send, status, code, reason) => {
    const said = await send();
    expect([said.status, connect(said)]).toEqual([status, { code, type: "google.rpc.ErrorInfo", reason }]);
    expect(said.headers.get("content-type")).toBe("application/json");
  });

  test("a wrong verb is told which there are, and whoever has no token how one is shown", async () => {
    expect((await call(rpc, {}, "PUT")).headers.get("allow")).toBe("OPTIONS, POST");
    expect((await call(rpc, { authorization: "" })).headers.get("www-authenticate")).toMatch(/^Bearer/);
  });

  test("a stream is refused in its last envelope, with 200", async () => {
    const said = await call("/carillon.v1.ExecutionService/WatchExecutions", {
      "content-type": "application/connect+json",
      origin: "https://evil.example",
    });
    expect([said.status, said.headers.get("content-type")]).toEqual([200, "application/connect+json"]);
    expect(said.body.charCodeAt(0)).toBe(2);
    expect(JSON.parse(said.body.slice(5)).error).toMatchObject({ code: "permission_denied" });
  });

  test.each([
    "application/grpc-web",
    "application/grpc-web+json",
    "application/grpc",
  ])("%s is refused by a status of gRPC", async (type) => {
    for (const [path, status] of [
      ["/carillon.v1.JobService/Nope", "12"],
      ["/no.such.Service/Nope", "12"],
    ] as const) {
      const said = await call(path, { "content-type": type });
      expect([said.status, said.headers.get("grpc-status"), said.headers.get("content-type")]).toEqual([
        200,
        status,
        type,
      ]);
    }
  });
});

test("REST is told of headers that are too long, and of what is no HTTP, in its own form", async () => {
  const long = await ask(`GET /jobs HTTP/1.1\r\nHost: a\r\nx: ${"y".repeat(20_000)}\r\n\r\n`);
  expect([long.status, rest(long)]).toEqual([
    431,
    { code: 431, status: "INVALID_ARGUMENT", reason: "HEADERS_TOO_LARGE" },
  ]);
  expect(rest(await ask("nonsense\r\n\r\n"))).toEqual({
    code: 400,
    status: "INVALID_ARGUMENT",
    reason: "MALFORMED_REQUEST",
  });
});
