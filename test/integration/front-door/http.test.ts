import { request as httpRequest } from "node:http";
import { setImmediate as nextTurn } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "../../../services/platform/process/clock.ts";
import { converse, type FrontDoor, startFrontDoor, statusesIn } from "../../support/front-door.ts";

let door: FrontDoor;
beforeEach(async () => {
  door = await startFrontDoor();
});
afterEach(() => door.server.stop());

const job = { schedule: "*/5 * * * * *", api_endpoint: "http://127.0.0.1:1/hook", type: "ATLEAST_ONCE" };

test("a token is asked for on the API and /metrics, not on the probes", async () => {
  await door.server.stop();
  door = await startFrontDoor({ tokens: ["s3cret"], ready: () => false });
  const missing = await door.call("GET", "/jobs");
  expect([missing.status, missing.headers.get("www-authenticate")]).toEqual([401, 'Bearer realm="carillon"']);
  const wrong = await door.call("GET", "/jobs", undefined, { authorization: "Bearer nope" });
  expect(wrong.headers.get("www-authenticate")).toContain("invalid_token");
  expect((await door.call("GET", "/jobs", undefined, { authorization: "bearer s3cret" })).status).toBe(200);
  expect((await door.call("GET", "/metrics")).status).toBe(401);
  expect((await door.call("GET", "/metrics", undefined, { authorization: "Bearer s3cret" })).text).toContain(
    'carillon_rpc_handled_total{rpc_service="carillon.v1.JobService",method="ListJobs",code="UNAUTHENTICATED",face="rest"} 2',
  );
  expect((await door.call("GET", "/healthz")).status).toBe(200);
  expect((await door.call("GET", "/readyz")).status).toBe(503);
});

test("a page of another site cannot change anything", async () => {
  expect((await door.call("POST", "/jobs", job, { "sec-fetch-site": "cross-site" })).status).toBe(403);
  expect((await door.call("POST", "/jobs", job, { origin: "https://evil.example" })).status).toBe(403);
  expect((await door.call("POST", "/jobs", job, { origin: door.url("") })).status).toBe(200);
  // Its own pages, and what somebody did by hand.
  for (const site of ["same-origin", "none"]) {
    expect((await door.call("POST", "/jobs", job, { "sec-fetch-site": site })).status, site).toBe(200);
  }
});

test("a name that was made to point at this machine opens nothing, unless tokens guard the door", async () => {
  const statusFor = (host: string, path: string) =>
    new Promise<number | undefined>((resolve, reject) => {
      httpRequest({ host: "127.0.0.1", port: door.server.address().port, path, headers: { host } })
        .on("response", (response) => resolve(response.resume().statusCode))
        .on("error", reject)
        .end();
    });
  const { port } = door.server.address();
  for (const path of ["/jobs", "/metrics", "/openapi.json"]) {
    expect(await statusFor(`evil.example:${port}`, path), path).toBe(403);
    expect(await statusFor("127.0.0.1.evil.example", path), path).toBe(403);
  }
  for (const host of [
    `localhost:${port}`,
    "127.0.0.1",
    "127.8.9.1:80",
    "[::1]:8080",
    "carillon.localhost",
    "LOCALHOST",
  ]) {
    expect(await statusFor(host, "/jobs"), host).toBe(200);
  }
  await door.server.stop();
  door = await startFrontDoor({ tokens: ["s3cret"] });
  expect(await statusFor("carillon.example", "/healthz")).toBe(200);
});

test("a target in absolute form is served, and its name counts in place of Host", async () => {
  const { port } = door.server.address();
  const statusFor = async (target: string, host = "localhost") =>
    statusesIn(await converse(door.server, 1, `GET ${target} HTTP/1.1\r\nHost: ${host}\r\n\r\n`))[0];
  expect(await statusFor(`http://127.0.0.1:${port}/healthz`)).toBe(200);
  expect(await statusFor(`HTTP://localhost/jobs?page_size=1`, "evil.example")).toBe(200);
  expect(await statusFor("http://localhost?x")).toBe(404);
  expect(await statusFor("http://evil.example/jobs")).toBe(403);
  expect(await statusFor("http://localhost@evil.example/jobs")).toBe(403);
  expect(await statusFor("http:///jobs")).toBe(404);
});

test("a page of another site does not pass by an absolute form", async () => {
  const post = (target: string, origin: string) =>
    converse(
      door.server,
      1,
      `POST ${target} HTTP/1.1\r\nHost: localhost\r\nOrigin: ${origin}\r\nContent-Length: 0\r\n\r\n`,
    ).then(statusesIn);
  expect(await post("http://localhost/jobs/x:pause", "http://evil.example")).toEqual([403]);
  expect(await post("http://localhost/jobs/x:pause", "http://localhost")).toEqual([404]);
});

test("a stopping server answers what is under way, closes its connection, and waits for nothing else", async () => {
  await door.server.stop();
  const asked = Promise.withResolvers<void>();
  const answer = Promise.withResolvers<boolean>();
  const ready = () => {
    asked.resolve();
    return answer.promise;
  };
  // Its time never comes: nothing is cut off.
  const clock = { ...systemClock, after: () => () => undefined };
  door = await startFrontDoor({ ready, clock });
  const said = converse(door.server, 2, "GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n");
  await asked.promise;
  const stopped = door.server.stop();
  await nextTurn();
  answer.resolve(true);
  expect(statusesIn(await said)).toEqual([200]);
  await stopped;
});

describe("watching", () => {
  test("sends server-sent events with id, event and data, and ends with the stream", async () => {
    await door.call("POST", "/jobs", { ...job, display_name: "three" });
    const { headers, text } = await door.call("GET", "/jobs/job-1/executions:watch");
    expect(headers.get("content-type")).toBe("text/event-stream");
    expect(headers.get("x-accel-buffering")).toBe("no");
    const [bookmark, ...events] = text
      .trim()
      .split("\n\n")
      .map((event) => event.split("\n"));
    // Without data it is no event, and its id is remembered all the same.
    expect(bookmark).toEqual(["id: token-0"]);
    expect(events).toHaveLength(3);
    expect(events[0]?.slice(0, 2)).toEqual(["id: token-1", "event: execution"]);
    expect(JSON.parse(events[0]?.[2]?.slice("data: ".length) ?? "")).toMatchObject({
      execution_id: "job-1-1",
      timestamp: "1970-01-01T00:00:01.003Z",
      status: "SUCCESS",
      http_status: 200,
      duration_ms: 12,
    });
  });

  test("sends lines of JSON to those who ask for them", async () => {
    await door.call("POST", "/jobs", { ...job, display_name: "three" });
    const response = await fetch(door.url("/jobs/job-1/executions:watch"), {
      headers: { accept: "application/x-ndjson" },
    });
    expect(response.headers.get("content-type")).toBe("application/x-ndjson");
    const ids = (await response.text())
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line).execution_id);
    expect(ids).toEqual(["job-1-1", "job-1-2", "job-1-3"]);
  });

  test("goes on behind Last-Event-ID, which is newer than what the URL says", async () => {
    await door.call("POST", "/jobs", { ...job, display_name: "three" });
    const path = "/jobs/job-1/executions:watch";
    const lines = { accept: "application/x-ndjson" };
    await door.call("GET", path, undefined, { "last-event-id": "a" });
    await fetch(door.url(`${path}?resume_token=b`), { headers: lines });
    await fetch(door.url(`${path}?resume_token=b`), { headers: { ...lines, "last-event-id": "c" } });
    await door.call("GET", path, undefined, { "last-event-id": "" });
    expect(door.backend.resumedFrom).toEqual(["a", "b", "c", ""]);
    const marked = await fetch(door.url(`${path}?bookmarks=true`), { headers: lines });
    expect((await marked.text()).split("\n")[0]).toBe('{"resume_token":"token-0"}');
  });

  test("an unknown job is 404 before the stream begins", async () => {
    expect((await door.call("GET", "/jobs/nope/executions:watch")).status).toBe(404);
  });

  test("a client that leaves ends the handler, and is counted as one that left", async () => {
    await door.call("POST", "/jobs", job);
    const leave = new AbortController();
    await fetch(door.url("/jobs/job-1/executions:watch"), { signal: leave.signal });
    await door.backend.watchStarted("job-1");
    leave.abort();
    await door.backend.watchEnded("job-1");
    // What is left of the call waits for nothing.
    await nextTurn();
    expect(await door.backend.metrics.metrics()).toContain('method="WatchExecutions",code="CANCELLED",face="rest"} 1');
  });

  test("a stopping server ends the stream with an error event, and stops at once", async () => {
    await door.call("POST", "/jobs", job);
    const response = await fetch(door.url("/jobs/job-1/executions:watch"));
    await door.backend.watchStarted("job-1");
    const [text] = await Promise.all([response.text(), door.server.stop()]);
    expect(text).toContain('event: error\ndata: {"error":{"code":503,"status":"UNAVAILABLE"');
  });
});
