import { once } from "node:events";
import { type ClientHttp2Session, connect as connectHttp2, type IncomingHttpHeaders } from "node:http2";
import { connect, type Socket } from "node:net";
import { afterEach, expect, test } from "vitest";
import { type Clock, systemClock } from "../../../services/platform/process/clock.ts";
import { converse, type FrontDoor, startFrontDoor, statusesIn } from "../../support/front-door.ts";

let door: FrontDoor;
const sessions: ClientHttp2Session[] = [];
afterEach(async () => {
  for (const session of sessions.splice(0)) session.destroy();
  await door.server.stop();
});

const job = { schedule: "@hourly", api_endpoint: "http://127.0.0.1:1/hook", type: "ATLEAST_ONCE" };
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/** A clock whose timers of one span go off when they are told to. */
function clockWith(spanMs: number): Clock & { pass(): void } {
  const waiting = new Set<() => void>();
  return {
    ...systemClock,
    after(delayMs, callback) {
      if (delayMs !== spanMs) return systemClock.after(delayMs, callback);
      waiting.add(callback);
      return () => waiting.delete(callback);
    },
    pass() {
      for (const callback of [...waiting]) callback();
    },
  };
}

function openSession(): ClientHttp2Session {
  const session = connectHttp2(door.url(""));
  session.on("error", () => undefined);
  sessions.push(session);
  return session;
}

interface Said {
  status: number;
  headers: IncomingHttpHeaders;
  text: string;
}

function ask(session: ClientHttp2Session, headers: Record<string, string>, body = ""): Promise<Said> {
  return new Promise((resolve, reject) => {
    const stream = session.request(headers, { endStream: body === "" });
    let said: IncomingHttpHeaders = {};
    let text = "";
    stream.on("response", (answered) => {
      said = answered;
    });
    stream.setEncoding("utf8").on("data", (chunk) => {
      text += chunk;
    });
    stream.on("end", () => resolve({ status: Number(said[":status"]), headers: said, text })).on("error", reject);
    if (body !== "") stream.end(body);
  });
}

async function openSocket(): Promise<Socket> {
  const { host, port } = door.server.address();
  const socket = connect(port, host);
  await once(socket, "connect");
  return socket.on("error", () => undefined);
}

test("what speaks HTTP/2 from its first byte has REST, probes, refusals and streams, many at a time", async () => {
  door = await startFrontDoor({ tokens: ["s3cret"] });
  const session = openSession();
  const auth = { authorization: "Bearer s3cret" };
  const post = { ":method": "POST", ":path": "/jobs", ...auth, "content-type": "application/json" };
  const made = await Promise.all(Array.from({ length: 50 }, () => ask(session, post, JSON.stringify(job))));
  expect(new Set(made.map(({ status }) => status))).toEqual(new Set([200]));
  expect(made[0]?.headers.etag).toBe('"e1"');
  expect((await ask(session, { ":path": "/healthz" })).text).toBe("ok\n");
  expect((await ask(session, { ":path": "/jobs" })).status).toBe(401);
  expect((await ask(session, { ":path": "/nothing" })).status).toBe(404);
  const watch = session.request({ ":path": "/jobs/job-1/executions:watch", ...auth });
  const [first] = (await once(watch, "data")) as [Buffer];
  expect(first.toString()).toContain("id: token-0");
  watch.close();
  await door.backend.watchEnded("job-1");
});

test("a body that is too large, or is not all there in time, is refused, and the connection goes on", async () => {
  const clock = clockWith(60_000);
  door = await startFrontDoor({ clock });
  const session = openSession();
  const post = { ":method": "POST", ":path": "/jobs", "content-type": "application/json" };
  expect((await ask(session, post, `"${"x".repeat(400_000)}"`)).status).toBe(413);
  const late = session.request(post);
  late.on("error", () => undefined);
  late.write("{");
  // The answer to another shows that the server has the first.
  expect((await ask(session, { ":path": "/healthz" })).status).toBe(200);
  clock.pass();
  await once(late, "close");
  expect((await ask(session, { ":path": "/healthz" })).status).toBe(200);
});

test("the name that is asked for counts as over HTTP/1.1", async () => {
  door = await startFrontDoor();
  const session = openSession();
  for (const [authority, status] of [
    ["localhost", 200],
    ["127.0.0.1:99", 200],
    ["evil.example", 403],
  ] as const) {
    expect((await ask(session, { ":path": "/healthz", ":authority": authority })).status, authority).toBe(status);
  }
  const foreign = { ":method": "POST", ":path": "/jobs", origin: "https://evil.example" };
  expect((await ask(session, foreign, "{}")).status).toBe(403);
});

test("the first bytes may come one by one, of either protocol, and stand alone for as long as headers may take", async () => {
  const clock = clockWith(10_000);
  door = await startFrontDoor({ clock });
  const { host, port } = door.server.address();
  // A session whose first bytes are sent by hand: the preface, and settings that ask for nothing.
  const socket = await openSocket();
  for (const letter of preface) {
    socket.write(letter);
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
  socket.write(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]));
  const [answer] = (await once(socket, "data")) as [Buffer];
  // SETTINGS, the first frame of a server.
  expect(answer[3]).toBe(4);
  socket.destroy();
  for (const request of ["PRI /x HTTP/1.1\r\n", "PATCH /jobs/x HTTP/1.1\r\n", "P", "PRI * HTTP/1.1\r\n"]) {
    const rest = request === "P" ? "UT /healthz HTTP/1.1\r\n" : "";
    const said = await converse(door.server, 1, request, `${rest}Host: localhost\r\nContent-Length: 0\r\n\r\n`);
    expect(statusesIn(said), request).toHaveLength(1);
  }
  for (const part of ["", "PRI * HT"]) {
    const silent = connect(port, host).setEncoding("latin1");
    await once(silent, "connect");
    silent.write(part);
    // It is accepted once a later one is answered.
    expect((await door.call("GET", "/healthz")).status).toBe(200);
    const told = once(silent, "data");
    clock.pass();
    expect((await told)[0]).toMatch(/^HTTP\/1\.1 408 /);
    await once(silent, "close");
  }
});

test("a stopping server answers what is under way on HTTP/2, ends its streams, and waits for no idle connection", async () => {
  const asked = Promise.withResolvers<void>();
  const answer = Promise.withResolvers<boolean>();
  const ready = () => {
    asked.resolve();
    return answer.promise;
  };
  // Its time never comes: nothing is cut off.
  door = await startFrontDoor({ ready, clock: { ...systemClock, after: () => () => undefined } });
  await door.call("POST", "/jobs", job);
  const session = openSession();
  const idle = openSession();
  const undecided = await openSocket();
  expect((await ask(idle, { ":path": "/healthz" })).status).toBe(200);
  const watch = ask(session, { ":path": "/jobs/job-1/executions:watch" });
  await door.backend.watchStarted("job-1");
  const probe = ask(session, { ":path": "/readyz" });
  await asked.promise;
  const stopped = door.server.stop();
  expect((await watch).text).toContain('"status":"UNAVAILABLE"');
  answer.resolve(true);
  expect((await probe).status).toBe(200);
  await stopped;
  undecided.destroy();
});

test("a stop waits for nobody who was refused for his silence and keeps his end of the connection open", async () => {
  const clock = clockWith(10_000);
  door = await startFrontDoor({ clock, drainMs: 100 });
  const { host, port } = door.server.address();
  const silent = connect({ host, port, allowHalfOpen: true });
  await once(silent, "connect");
  // It is accepted once a later one is answered.
  expect((await door.call("GET", "/healthz")).status).toBe(200);
  silent.resume();
  clock.pass();
  await once(silent, "end");
  await door.server.stop();
  silent.destroy();
});

test("what is not over when the span of a stop is, is cut off", async () => {
  const clock = clockWith(12_345);
  door = await startFrontDoor({ drainMs: 12_345, clock, ready: () => new Promise<boolean>(() => undefined) });
  const session = openSession();
  const probe = session.request({ ":path": "/readyz" });
  probe.on("error", () => undefined);
  expect((await ask(session, { ":path": "/healthz" })).status).toBe(200);
  const stopped = door.server.stop();
  await new Promise<void>((resolve) => setImmediate(resolve));
  clock.pass();
  await stopped;
  if (!session.destroyed) await once(session, "close");
});

test("native gRPC and streams in both directions over HTTP/1.1 are told what they need", async () => {
  door = await startFrontDoor();
  const grpc = await door.call("POST", "/carillon.v1.JobService/ListJobs", Buffer.alloc(5), {
    "content-type": "application/grpc",
  });
  expect(grpc.headers.get("grpc-status")).toBe("12");
  expect(decodeURIComponent(grpc.headers.get("grpc-message") ?? "")).toBe("gRPC needs HTTP/2");
  const path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
  const connect = await door.call("POST", path, Buffer.alloc(5), { "content-type": "application/connect+proto" });
  expect([connect.status, connect.text.slice(5)]).toEqual([200, expect.stringContaining("needs HTTP/2")]);
});
