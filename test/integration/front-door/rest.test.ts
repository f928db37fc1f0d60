import { gzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type FrontDoor, reasonOf, startFrontDoor, violationsOf } from "../../support/front-door.ts";

let door: FrontDoor;
beforeEach(async () => {
  door = await startFrontDoor();
});
afterEach(() => door.server.stop());

const job = { schedule: "*/5 * * * * *", api_endpoint: "http://127.0.0.1:1/hook", type: "ATLEAST_ONCE" };

test("a job comes back in snake_case, with short enum names and milliseconds", async () => {
  const { status, json } = await door.call("POST", "/jobs", { ...job, http: { timeout: "1.5s", body: "" } });
  expect(status).toBe(200);
  expect(json).toEqual({
    job_id: "job-1",
    key: "",
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
  expect((await door.call("POST", "/jobs", camel)).json.api_endpoint).toBe("http://x/");
  const form = await door.call("POST", "/jobs", camel, { "content-type": "application/x-www-form-urlencoded" });
  expect(form.status).toBe(200);
  const zipped = await door.call("POST", "/jobs", gzipSync(JSON.stringify(job)), { "content-encoding": "gzip" });
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
    const { status, json } = await door.call("POST", "/jobs", body);
    expect(status).toBe(400);
    expect(json.error).toMatchObject({ code: 400, status: "INVALID_ARGUMENT" });
    expect(reasonOf({ json })).toBe(reason);
    expect(violationsOf({ json })).toEqual([{ field, description }]);
    expect(json.error.message).toBe(`${field}: ${description}`);
  });
});

test.each([
  ['{"schedule": x}', "1", "14"],
  ['{\n  "schedule": "a",\n}', "3", "1"],
  ["schedule=x", "1", "1"],
  ['{"a":1', "1", "7"],
  ['{"a":01}', "1", "7"],
])("malformed JSON %j is refused with its position", async (text, line, column) => {
  const { status, json } = await door.call("POST", "/jobs", text);
  expect(status).toBe(400);
  expect(reasonOf({ json })).toBe("MALFORMED_JSON");
  expect(json.error.details[0].metadata).toEqual({ line, column });
});

test.each([
  ["/jobs", "", "INVALID_FIELD", "the body: value is required"],
  ["/jobs", "[]", "WRONG_TYPE", "the body: expected an object, got an array"],
  ["/jobs", "null", "WRONG_TYPE", "the body: expected an object, got null"],
  ["/jobs:batchCreate", "[]", "WRONG_TYPE", "the body: expected an object, got an array"],
  ["/jobs/x:pause", "null", "WRONG_TYPE", "the body: expected an object, got null"],
])("what is wrong with the whole body of %s %j names no field", async (path, body, reason, message) => {
  const { status, json } = await door.call("POST", path, body);
  expect([status, reasonOf({ json }), json.error.message]).toEqual([400, reason, message]);
  expect(violationsOf({ json })).toBeUndefined();
});

test("a foreign content type is refused", async () => {
  const xml = await door.call("POST", "/jobs", "<job/>", { "content-type": "application/xml" });
  expect([xml.status, reasonOf(xml)]).toEqual([415, "UNSUPPORTED_MEDIA_TYPE"]);
});

test("an unknown job is 404, an unknown path is 404, a wrong verb is 405 with Allow", async () => {
  const job404 = await door.call("GET", "/jobs/nope");
  expect([job404.status, reasonOf(job404)]).toEqual([404, "JOB_NOT_FOUND"]);
  const path404 = await door.call("GET", "/nope");
  expect([path404.status, reasonOf(path404)]).toEqual([404, "UNKNOWN_PATH"]);
  const put = await door.call("PUT", "/jobs", job);
  expect([put.status, put.headers.get("allow")]).toEqual([405, "GET, HEAD, OPTIONS, POST"]);
  const get = await door.call("GET", "/jobs/x:pause");
  expect([get.status, get.headers.get("allow")]).toEqual([405, "OPTIONS, POST"]);
  const options = await door.call("OPTIONS", "/jobs/x");
  expect([options.status, options.headers.get("allow")]).toEqual([204, "DELETE, GET, HEAD, OPTIONS, PATCH"]);
  expect((await door.call("HEAD", "/jobs")).status).toBe(200);
  const head = await door.call("HEAD", "/jobs/x/executions:watch");
  expect([head.status, head.headers.get("allow")]).toEqual([405, "GET, OPTIONS"]);
});

test("a method behind a colon that is not there is 404, whatever the verb", async () => {
  for (const verb of ["POST", "PUT", "OPTIONS"]) {
    const answer = await door.call(verb, "/jobs/x:foo");
    expect([answer.status, reasonOf(answer)], verb).toEqual([404, "UNKNOWN_PATH"]);
  }
  expect((await door.call("POST", "/jobs:foo")).status).toBe(404);
});

test.each(["/healthz", "/readyz", "/metrics"])("%s is there to be read", async (path) => {
  for (const verb of ["POST", "PUT", "DELETE"]) {
    const answer = await door.call(verb, path);
    expect([answer.status, answer.headers.get("allow")]).toEqual([405, "GET, HEAD, OPTIONS"]);
    expect(reasonOf(answer)).toBe("METHOD_NOT_ALLOWED");
  }
  expect((await door.call("OPTIONS", path)).status).toBe(204);
});

test("a wrong verb on an RPC's path is 405 with Allow, and says so", async () => {
  const answer = await door.call("GET", "/carillon.v1.JobService/CreateJob");
  expect([answer.status, answer.headers.get("allow")]).toEqual([405, "OPTIONS, POST"]);
  expect(answer.json.details[0].debug.reason).toBe("METHOD_NOT_ALLOWED");
});

test("a long answer is compressed for whoever takes that, and is the same", async () => {
  await door.call("POST", "/jobs:batchCreate", { requests: Array.from({ length: 100 }, () => ({ job })) });
  const plain = await door.call("GET", "/jobs?page_size=100", undefined, { "accept-encoding": "identity" });
  const zipped = await door.call("GET", "/jobs?page_size=100", undefined, { "accept-encoding": "gzip" });
  const codings = [plain, zipped].map(({ headers }) => [headers.get("content-encoding"), headers.get("vary")]);
  expect(codings).toEqual([
    [null, "accept-encoding"],
    ["gzip", "accept-encoding"],
  ]);
  expect(zipped.text).toBe(plain.text);
  const [long, short] = [plain, zipped].map(({ headers }) => Number(headers.get("content-length")));
  expect(long).toBe(Buffer.byteLength(plain.text));
  expect(short).toBeLessThan((long ?? 0) / 10);
  const head = await door.call("HEAD", "/jobs?page_size=100");
  expect([head.status, head.headers.get("content-length")]).toEqual([200, String(long)]);
  const few = await door.call("GET", "/jobs?page_size=2", undefined, { "accept-encoding": "gzip" });
  expect([few.headers.get("content-encoding"), few.headers.get("vary")]).toEqual([null, null]);
});

test("path, query and custom verbs become the request", async () => {
  await door.call("POST", "/jobs", job);
  expect((await door.call("GET", "/jobs/job%2D1")).json.job_id).toBe("job-1");
  expect((await door.call("POST", "/jobs/job-1:pause")).json.state).toBe("PAUSED");
  expect((await door.call("POST", "/jobs/job-1:run", { request_id: "r" })).json).toEqual({
    execution_id: "job-1-mabc",
  });
  expect((await door.call("GET", "/jobs?page_size=1")).json.jobs).toHaveLength(1);
  expect((await door.call("GET", "/jobs?pageSize=1")).json.jobs).toHaveLength(1);
  expect((await door.call("POST", "/jobs:batchCreate", { requests: [{ job }, { job }] })).json.jobs).toHaveLength(2);
  expect((await door.call("POST", "/schedules:preview", { schedule: "x", count: 2 })).json).toEqual({
    occurrences: ["1970-01-01T00:00:01.000Z", "1970-01-01T00:00:02.000Z"],
  });
  expect((await door.call("DELETE", "/jobs/job-1?etag=other")).status).toBe(409);
  expect((await door.call("DELETE", "/jobs/job-1")).json).toEqual({});
});

test("what a body may say a query may say where there is no body, but not both", async () => {
  await door.call("POST", "/jobs", job);
  expect((await door.call("POST", "/jobs/job-1:run?request_id=r")).status).toBe(200);
  expect((await door.call("POST", "/jobs/job-1:run?requestId=r", {})).status).toBe(200);
  const refused: [string, unknown, string, string][] = [
    ["/jobs/job-1:run?request_id=r", { requestId: "r" }, "DUPLICATE_FIELD", "request_id"],
    ["/jobs/job-1:run?nope=r", undefined, "UNKNOWN_FIELD", "nope"],
    ["/jobs/job-1:run?job_id=job-1", undefined, "UNKNOWN_FIELD", "job_id"],
    [`/jobs/job-1:run?request_id=${"r".repeat(129)}`, undefined, "INVALID_FIELD", "request_id"],
  ];
  for (const [path, body, reason, field] of refused) {
    const answer = await door.call("POST", path, body);
    expect([answer.status, reasonOf(answer), violationsOf(answer)]).toMatchObject([400, reason, [{ field }]]);
  }
});

test("a bad query is refused with the parameter's name", async () => {
  expect(violationsOf(await door.call("GET", "/jobs?page_size=abc"))).toEqual([
    { field: "page_size", description: 'expected a whole number, got the string "abc"' },
  ]);
  expect(violationsOf(await door.call("GET", "/jobs?page_sise=1"))).toEqual([
    { field: "page_sise", description: "unknown field; did you mean page_size?" },
  ]);
  expect(violationsOf(await door.call("GET", "/jobs?page_size=-1"))).toMatchObject([{ field: "page_size" }]);
  expect((await door.call("GET", "/jobs/%zz")).status).toBe(400);
});

test("a query parameter under both of its names is refused", async () => {
  const answer = await door.call("POST", "/jobs?request_id=a&requestId=b", job);
  expect([answer.status, reasonOf(answer)]).toEqual([400, "DUPLICATE_FIELD"]);
  expect(violationsOf(answer)).toEqual([
    { field: "request_id", description: 'is there twice: "request_id" and "requestId"' },
  ]);
});

test("a PATCH without a mask changes what its body names", async () => {
  await door.call("POST", "/jobs", job);
  await door.call("PATCH", "/jobs/job-1", {
    display_name: "n",
    timeZone: "",
    http: null,
    job_id: "job-1",
    created_at: "2026-12-01T09:00:00Z",
    etag: "e1",
  });
  expect(door.backend.lastMask()).toEqual(["display_name", "time_zone", "http"]);
  await door.call("PATCH", "/jobs/job-1?update_mask=schedule,timeZone", { schedule: "@hourly" });
  expect(door.backend.lastMask()).toEqual(["schedule", "time_zone"]);
  expect(violationsOf(await door.call("PATCH", "/jobs/job-1", { job_id: "job-2" }))).toEqual([
    { field: "job_id", description: "is not the one in the path" },
  ]);
});

test("what is not served yet is 501, a surprise is 500 with an id and no cause", async () => {
  expect((await door.call("POST", "/jobs/x:backfill", {})).status).toBe(501);
  const { status, json } = await door.call("POST", "/jobs", { ...job, display_name: "explode" });
  expect(status).toBe(500);
  expect(JSON.stringify(json)).not.toContain("fire");
  expect(door.backend.errors).toMatchObject([{ errorId: json.error.details[0].metadata.error_id }]);
});
