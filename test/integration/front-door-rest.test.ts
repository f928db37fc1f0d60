import { request as httpRequest } from "node:http";
import { connect } from "node:net";
import { gzipSync } from "node:zlib";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "../../services/platform/clock.ts";
import { formatAddress } from "../../services/platform/config.ts";
import { createHttpServer, type HttpServer } from "../../services/platform/rpc/http-server.ts";
import { createFakeBackend, type FakeBackend } from "../contract/faces-service.ts";

let backend: FakeBackend;
let server: HttpServer;

async function start(options: { tokens?: string[]; ready?: () => boolean } = {}): Promise<void> {
  backend = createFakeBackend(options);
  server = createHttpServer(
    { address: { host: "127.0.0.1", port: 0 }, maxBodyBytes: 300_000 },
    {
      services: backend.services,
      pipeline: backend.pipeline,
      probes: {
        ready: options.ready ?? (() => true),
        metrics: async () => ({ contentType: backend.metrics.contentType, body: await backend.metrics.metrics() }),
      },
      log: pino({ level: "silent" }),
      clock: systemClock,
    },
  );
  await server.start();
}

beforeEach(() => start());
afterEach(() => server.stop());

const job = { schedule: "*/5 * * * * *", api_endpoint: "http://127.0.0.1:1/hook", type: "ATLEAST_ONCE" };

function url(path: string): string {
  return `http://${formatAddress(server.address())}${path}`;
}

async function call(verb: string, path: string, body?: unknown, headers: Record<string, string> = {}) {
  const response = await fetch(url(path), {
    method: verb,
    headers: { ...(body !== undefined && { "content-type": "application/json" }), ...headers },
    ...(body !== undefined && {
      body: typeof body === "string" || Buffer.isBuffer(body) ? body : JSON.stringify(body),
    }),
  });
  const text = await response.text();
  // biome-ignore lint/suspicious/noExplicitAny: any JSON at all
  const json: any =
    text !== "" && response.headers.get("content-type")?.includes("json") ? JSON.parse(text) : undefined;
  return { status: response.status, headers: response.headers, text, json };
}

const violationsOf = (json: { error: { details: { "@type": string; field_violations?: unknown[] }[] } }) =>
  json.error.details.find((detail) => detail["@type"].endsWith("BadRequest"))?.field_violations;
const reasonOf = (json: { error: { details: { reason?: string }[] } }) => json.error.details[0]?.reason;

test("a job comes back in snake_case, with short enum names and milliseconds", async () => {
  const { status, json, headers } = await call("POST", "/jobs", { ...job, http: { timeout: "1.5s", body: "" } });
  expect(status).toBe(200);
  expect(headers.get("x-created-by")).toBe("rest");
  expect(json).toEqual({
    job_id: "job-1",
    schedule: "*/5 * * * * *",
    api_endpoint: "http://127.0.0.1:1/hook",
    type: "ATLEAST_ONCE",
    created_at: "2026-12-01T09:00:00.250Z",
    display_name: "",
    labels: {},
    time_zone: "",
    http: { method: "UNSPECIFIED", headers: {}, body: "", timeout: "1.500s", success_codes: [] },
    overlap_policy: "UNSPECIFIED",
    dst_policy: "UNSPECIFIED",
    state: "ACTIVE",
    generation: 1,
    etag: "e1",
  });
});

test("camelCase, full enum names, curl's content type, gzip and a null are read, too", async () => {
  const camel = { schedule: "@hourly", apiEndpoint: "http://x/", type: "JOB_TYPE_ATLEAST_ONCE", http: null };
  expect((await call("POST", "/jobs", camel)).json.api_endpoint).toBe("http://x/");
  const form = await call("POST", "/jobs", camel, { "content-type": "application/x-www-form-urlencoded" });
  expect(form.status).toBe(200);
  const zipped = await call("POST", "/jobs", gzipSync(JSON.stringify(job)), { "content-encoding": "gzip" });
  expect(zipped.status).toBe(200);
});

describe("a bad request names the field, relative to the body, and the reason", () => {
  const cases: [string, unknown, string, string, string][] = [
    ["missing field", { ...job, schedule: undefined }, "INVALID_FIELD", "schedule", "value is required"],
    ["unknown field", { ...job, shedule: "x" }, "UNKNOWN_FIELD", "shedule", "unknown field; did you mean schedule?"],
    [
      "unknown nested field",
      { ...job, http: { boddy: "" } },
      "UNKNOWN_FIELD",
      "http.boddy",
      "unknown field; did you mean body?",
    ],
    ["wrong type", { ...job, schedule: 5 }, "WRONG_TYPE", "schedule", "expected a string, got the number 5"],
    [
      "wrong enum",
      { ...job, type: "AT_LEAST_ONCE" },
      "WRONG_TYPE",
      "type",
      'unknown value the string "AT_LEAST_ONCE"; did you mean ATLEAST_ONCE?',
    ],
    [
      "wrong duration",
      { ...job, http: { timeout: 30 } },
      "WRONG_TYPE",
      "http.timeout",
      'expected seconds with an s, such as "30s" or "1.5s", got the number 30',
    ],
    ["wrong label", { ...job, labels: { a: 1 } }, "WRONG_TYPE", 'labels["a"]', "expected a string, got the number 1"],
    [
      "twice",
      { ...job, apiEndpoint: "x" },
      "DUPLICATE_FIELD",
      "api_endpoint",
      'is there twice: "api_endpoint" and "apiEndpoint"',
    ],
    [
      "large job body",
      { ...job, http: { body: "x".repeat(131_073) } },
      "INVALID_FIELD",
      "http.body",
      "must be at most 131072 bytes",
    ],
    [
      "bound",
      { ...job, retry: { max_attempts: 21 } },
      "INVALID_FIELD",
      "retry.max_attempts",
      "must be greater than or equal to 1 and less than or equal to 20",
    ],
  ];
  test.each(cases)("%s", async (_, body, reason, field, description) => {
    const { status, json } = await call("POST", "/jobs", body);
    expect(status).toBe(400);
    expect(json.error).toMatchObject({ code: 400, status: "INVALID_ARGUMENT" });
    expect(reasonOf(json)).toBe(reason);
    expect(violationsOf(json)).toEqual([{ field, description }]);
    expect(json.error.message).toBe(`${field}: ${description}`);
  });
});

test.each([
  ['{"schedule": x}', "1", "14"],
  ['{\n  "schedule": "a",\n}', "3", "1"],
  ["schedule=x", "1", "1"],
  ['{"a":1', "1", "7"],
  ['{"a":01}', "1", "6"],
])("malformed JSON %j is refused with its position", async (text, line, column) => {
  const { status, json } = await call("POST", "/jobs", text);
  expect(status).toBe(400);
  expect(reasonOf(json)).toBe("MALFORMED_JSON");
  expect(json.error.details[0].metadata).toEqual({ line, column });
});

test("an empty body says what is missing; an array and a foreign content type are refused", async () => {
  expect(violationsOf((await call("POST", "/jobs")).json)).toEqual([
    { field: "job", description: "value is required" },
  ]);
  expect(violationsOf((await call("POST", "/jobs", "[]")).json)).toEqual([
    { field: "job", description: "expected an object, got an array" },
  ]);
  const xml = await call("POST", "/jobs", "<job/>", { "content-type": "application/xml" });
  expect([xml.status, reasonOf(xml.json)]).toEqual([415, "UNSUPPORTED_MEDIA_TYPE"]);
});

test("an unknown job is 404, an unknown path is 404, a wrong verb is 405 with Allow", async () => {
  const job404 = await call("GET", "/jobs/nope");
  expect([job404.status, reasonOf(job404.json)]).toEqual([404, "JOB_NOT_FOUND"]);
  const path404 = await call("GET", "/nope");
  expect([path404.status, reasonOf(path404.json)]).toEqual([404, "UNKNOWN_PATH"]);
  const put = await call("PUT", "/jobs", job);
  expect([put.status, put.headers.get("allow")]).toEqual([405, "GET, HEAD, OPTIONS, POST"]);
  const get = await call("GET", "/jobs/x:pause");
  expect([get.status, get.headers.get("allow")]).toEqual([405, "OPTIONS, POST"]);
  const options = await call("OPTIONS", "/jobs/x");
  expect([options.status, options.headers.get("allow")]).toEqual([204, "DELETE, GET, HEAD, OPTIONS, PATCH"]);
  expect((await call("HEAD", "/jobs")).status).toBe(200);
});

test("path, query and custom verbs become the request", async () => {
  await call("POST", "/jobs", job);
  expect((await call("GET", "/jobs/job%2D1")).json.job_id).toBe("job-1");
  expect((await call("POST", "/jobs/job-1:pause")).json.state).toBe("PAUSED");
  expect((await call("POST", "/jobs/job-1:run", { request_id: "r" })).json).toEqual({ execution_id: "job-1-mabc" });
  expect((await call("GET", "/jobs?page_size=1")).json.jobs).toHaveLength(1);
  expect((await call("GET", "/jobs?pageSize=1")).json.jobs).toHaveLength(1);
  expect((await call("POST", "/jobs:batchCreate", { requests: [{ job }, { job }] })).json.jobs).toHaveLength(2);
  expect((await call("POST", "/schedules:preview", { schedule: "x", count: 2 })).json).toEqual({
    occurrences: ["1970-01-01T00:00:01.000Z", "1970-01-01T00:00:02.000Z"],
  });
  expect((await call("DELETE", "/jobs/job-1?etag=other")).status).toBe(409);
  expect((await call("DELETE", "/jobs/job-1")).json).toEqual({});
});

test("a bad query is refused with the parameter's name", async () => {
  expect(violationsOf((await call("GET", "/jobs?page_size=abc")).json)).toEqual([
    { field: "page_size", description: 'expected a whole number, got the string "abc"' },
  ]);
  expect(violationsOf((await call("GET", "/jobs?page_sise=1")).json)).toEqual([
    { field: "page_sise", description: "unknown field; did you mean page_size?" },
  ]);
  expect(violationsOf((await call("GET", "/jobs?page_size=1001")).json)).toMatchObject([{ field: "page_size" }]);
  expect((await call("GET", "/jobs/%zz")).status).toBe(400);
});

test("a PATCH without a mask changes what its body names", async () => {
  await call("POST", "/jobs", job);
  await call("PATCH", "/jobs/job-1", {
    display_name: "n",
    timeZone: "",
    http: null,
    job_id: "job-1",
    created_at: "2026-12-01T09:00:00Z",
  });
  expect(backend.lastMask()).toEqual(["display_name", "time_zone", "http"]);
  await call("PATCH", "/jobs/job-1?update_mask=schedule,timeZone", { schedule: "@hourly" });
  expect(backend.lastMask()).toEqual(["schedule", "time_zone"]);
  expect(violationsOf((await call("PATCH", "/jobs/job-1", { job_id: "job-2" })).json)).toEqual([
    { field: "job_id", description: "is not the one in the path" },
  ]);
});

test("what is not served yet is 501, a surprise is 500 with an id and no cause", async () => {
  expect((await call("POST", "/jobs/x:backfill", {})).status).toBe(501);
  const { status, json } = await call("POST", "/jobs", { ...job, display_name: "explode" });
  expect(status).toBe(500);
  expect(JSON.stringify(json)).not.toContain("fire");
  expect(backend.errors).toMatchObject([{ errorId: json.error.details[0].metadata.error_id }]);
});

test("a body over the limit is 413, and the same connection serves the next request", async () => {
  const { status, json } = await call("POST", "/jobs", { ...job, http: { body: "x".repeat(400_000) } });
  expect([status, json.error.code, reasonOf(json)]).toEqual([413, 413, "REQUEST_TOO_LARGE"]);
  const statuses = await new Promise<string[]>((resolve) => {
    const socket = connect(server.address().port, "127.0.0.1");
    let text = "";
    socket.on("data", (chunk) => {
      text += chunk;
      const found = text.match(/HTTP\/1\.1 \d+/g) ?? [];
      if (found.length === 2) {
        socket.destroy();
        resolve(found);
      }
    });
    // Without a length, the limit is met in the middle of the body.
    socket.write("POST /jobs HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (let i = 0; i < 40; i++) socket.write(`${(100_000).toString(16)}\r\n${"x".repeat(100_000)}\r\n`);
    socket.write("0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
  });
  expect(statuses).toEqual(["HTTP/1.1 413", "HTTP/1.1 200"]);
});

test("an archive that unpacks past the limit is 413", async () => {
  const bomb = gzipSync(Buffer.alloc(50_000_000));
  expect((await call("POST", "/jobs", bomb, { "content-encoding": "gzip" })).status).toBe(413);
});

test("a client that asks first is told before it sends", async () => {
  const expecting = (bytes: number) =>
    new Promise<number | undefined>((resolve, reject) => {
      const sent = httpRequest(url("/jobs"), {
        method: "POST",
        headers: { expect: "100-continue", "content-length": bytes, "content-type": "application/json" },
      });
      sent.on("continue", () => sent.end(JSON.stringify(job).padEnd(bytes)));
      sent.on("response", (response) => resolve(response.resume().statusCode)).on("error", reject);
      sent.flushHeaders();
    });
  expect(await expecting(1000)).toBe(200);
  expect(await expecting(1_000_000)).toBe(413);
});

test("a token is asked for on the API and /metrics, not on the probes", async () => {
  await server.stop();
  await start({ tokens: ["s3cret"], ready: () => false });
  const missing = await call("GET", "/jobs");
  expect([missing.status, missing.headers.get("www-authenticate")]).toEqual([401, 'Bearer realm="carillon"']);
  const wrong = await call("GET", "/jobs", undefined, { authorization: "Bearer nope" });
  expect(wrong.headers.get("www-authenticate")).toContain("invalid_token");
  expect((await call("GET", "/jobs", undefined, { authorization: "bearer s3cret" })).status).toBe(200);
  expect((await call("GET", "/metrics")).status).toBe(401);
  expect((await call("GET", "/metrics", undefined, { authorization: "Bearer s3cret" })).text).toContain(
    'carillon_rpc_handled_total{service="carillon.v1.JobService",method="ListJobs",code="UNAUTHENTICATED",face="rest"} 2',
  );
  expect((await call("GET", "/healthz")).status).toBe(200);
  expect((await call("GET", "/readyz")).status).toBe(503);
});

test("a page of another site cannot change anything", async () => {
  expect((await call("POST", "/jobs", job, { "sec-fetch-site": "cross-site" })).status).toBe(403);
  expect((await call("POST", "/jobs", job, { origin: "https://evil.example" })).status).toBe(403);
  expect((await call("POST", "/jobs", job, { origin: url("") })).status).toBe(200);
});

describe("watching", () => {
  test("sends server-sent events with id, event and data, and ends with the stream", async () => {
    await call("POST", "/jobs", { ...job, display_name: "three" });
    const { headers, text } = await call("GET", "/jobs/job-1/executions:watch");
    expect(headers.get("content-type")).toBe("text/event-stream");
    const events = text
      .trim()
      .split("\n\n")
      .map((event) => event.split("\n"));
    expect(events).toHaveLength(3);
    expect(events[0]?.slice(0, 2)).toEqual(["id: job-1-1", "event: execution"]);
    expect(JSON.parse(events[0]?.[2]?.slice("data: ".length) ?? "")).toMatchObject({
      execution_id: "job-1-1",
      timestamp: "1970-01-01T00:00:01.003Z",
      status: "SUCCESS",
      http_status: 200,
      duration_ms: 12,
    });
  });

  test("sends lines of JSON to those who ask for them", async () => {
    await call("POST", "/jobs", { ...job, display_name: "three" });
    const response = await fetch(url("/jobs/job-1/executions:watch"), { headers: { accept: "application/x-ndjson" } });
    expect(response.headers.get("content-type")).toBe("application/x-ndjson");
    const ids = (await response.text())
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line).execution_id);
    expect(ids).toEqual(["job-1-1", "job-1-2", "job-1-3"]);
  });

  test("an unknown job is 404 before the stream begins", async () => {
    expect((await call("GET", "/jobs/nope/executions:watch")).status).toBe(404);
  });

  test("a client that leaves ends the handler", async () => {
    await call("POST", "/jobs", job);
    const leave = new AbortController();
    await fetch(url("/jobs/job-1/executions:watch"), { signal: leave.signal });
    await backend.watchStarted("job-1");
    leave.abort();
    await backend.watchEnded("job-1");
  });

  test("a stopping server ends the stream with an error event, and stops at once", async () => {
    await call("POST", "/jobs", job);
    const response = await fetch(url("/jobs/job-1/executions:watch"));
    await backend.watchStarted("job-1");
    const [text] = await Promise.all([response.text(), server.stop()]);
    expect(text).toContain('event: error\ndata: {"error":{"code":503,"status":"UNAVAILABLE"');
  });
});
