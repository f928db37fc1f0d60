import { afterEach, expect, test } from "vitest";
import { type FrontDoor, startFrontDoor } from "../../support/front-door.ts";

const page = "https://app.example.com";
const rpc = "/carillon.v1.JobService/CreateJob";
const job = { schedule: "*/5 * * * * *", api_endpoint: "http://127.0.0.1:1/hook", type: "ATLEAST_ONCE" };
const foreign = { origin: page, "sec-fetch-site": "cross-site" };

let door: FrontDoor;
afterEach(() => door.server.stop());

const preflight = (path: string, method: string, headers = "", origin = page) =>
  door.call("OPTIONS", path, undefined, {
    origin,
    "access-control-request-method": method,
    "access-control-request-headers": headers,
    "sec-fetch-site": "cross-site",
  });

test("a page of an origin that is listed asks before, without a token, and is told what it may send", async () => {
  door = await startFrontDoor({ tokens: ["s3cret"], corsOrigins: [page, "http://localhost:5173"] });
  for (const path of ["/jobs", "/jobs/x:pause", rpc, "/readyz"]) {
    const { status, headers, text } = await preflight(path, "POST", "authorization,x-mine, connect-timeout-ms");
    expect([status, text]).toEqual([204, ""]);
    expect(headers.get("access-control-allow-origin")).toBe(page);
    expect(headers.get("vary")).toBe("Origin");
    expect(headers.get("access-control-allow-methods")?.split(", ")).toEqual(
      expect.arrayContaining(["GET", "POST", "PATCH", "DELETE"]),
    );
    expect(headers.get("access-control-allow-headers")?.toLowerCase().split(", ")).toEqual(
      expect.arrayContaining([
        "authorization",
        "content-type",
        "connect-protocol-version",
        "connect-timeout-ms",
        "grpc-timeout",
        "x-grpc-web",
        "x-user-agent",
        "if-match",
        "if-none-match",
        "last-event-id",
        "x-mine",
      ]),
    );
    expect(Number(headers.get("access-control-max-age"))).toBeGreaterThan(0);
    expect(headers.get("access-control-allow-credentials")).toBeNull();
  }
  expect(door.backend.errors).toEqual([]);
});

test("its calls are made, and it may read what there is to know, also of refusals", async () => {
  door = await startFrontDoor({ corsOrigins: [page] });
  const rest = await door.call("POST", "/jobs", job, foreign);
  const connect = await door.call("POST", rpc, { job }, foreign);
  const refused = await door.call("POST", "/jobs", {}, foreign);
  const unknown = await door.call("POST", "/carillon.v1.JobService/Nope", {}, foreign);
  expect([rest, connect, refused, unknown].map(({ status }) => status)).toEqual([200, 200, 400, 404]);
  for (const { headers } of [rest, connect, refused, unknown]) {
    expect(headers.get("access-control-allow-origin")).toBe(page);
    const exposed = headers.get("access-control-expose-headers")?.toLowerCase().split(", ");
    expect(exposed).toEqual(
      expect.arrayContaining(["grpc-status", "grpc-message", "grpc-status-details-bin", "etag", "retry-after"]),
    );
    expect(headers.get("vary")).toMatch(/^Origin/);
  }
});

test("others stay out, and caches are told that it depends on who asks", async () => {
  door = await startFrontDoor({ corsOrigins: [page] });
  for (const origin of ["https://evil.example", `${page}:8443`, "http://app.example.com", "null"]) {
    const asked = await preflight("/jobs", "POST", "", origin);
    expect(asked.headers.get("access-control-allow-origin")).toBeNull();
    const made = await door.call("POST", "/jobs", job, { origin, "sec-fetch-site": "cross-site" });
    expect([made.status, made.headers.get("access-control-allow-origin")]).toEqual([403, null]);
    expect(made.headers.get("vary")).toMatch(/^Origin/);
  }
  expect((await door.call("GET", "/jobs")).headers.get("vary")).toMatch(/^Origin/);
  // On both accounts, where it is compressed as well.
  await door.call("POST", "/jobs:batchCreate", { requests: Array.from({ length: 50 }, () => ({ job })) });
  expect((await door.call("GET", "/jobs")).headers.get("vary")).toBe("Origin, accept-encoding");
});

test("with * every page is let in, and an answer is the same for all", async () => {
  door = await startFrontDoor({ corsOrigins: ["*"] });
  expect((await preflight("/jobs", "POST")).headers.get("access-control-allow-origin")).toBe("*");
  const { status, headers } = await door.call("POST", "/jobs", job, { origin: "null", "sec-fetch-site": "cross-site" });
  expect([status, headers.get("access-control-allow-origin"), headers.get("vary")]).toEqual([200, "*", null]);
});

test("without a list nothing is said of it", async () => {
  door = await startFrontDoor();
  const { headers } = await preflight("/jobs", "POST");
  expect([...headers.keys()].filter((name) => name.startsWith("access-control"))).toEqual([]);
  expect((await door.call("POST", "/jobs", job, foreign)).status).toBe(403);
});
