import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { toBinary } from "@bufbuild/protobuf";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { DueEntrySchema } from "../../../gen/carillon/v1/events_pb.ts";
import type { Outcome } from "../../../services/domain/delivery/outcome.ts";
import { Attempt } from "../../../services/executor/calls/attempt.ts";
import { compileCall } from "../../../services/executor/calls/call.ts";
import { createHttpCaller, type HttpCaller } from "../../../services/executor/calls/http-caller.ts";
import type { Settlement } from "../../../services/executor/settling/settlements.ts";
import { type Clock, systemClock, systemRandom } from "../../../services/platform/process/clock.ts";
import { dueEntry } from "../../support/executor-rig.ts";
import { jobNamed } from "../../support/job-ids.ts";

const settlement: Settlement = { done: () => undefined, refused: () => undefined, giveBack: () => undefined };
const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const deaths = [
  ["closes", (socket: Socket) => socket.end()],
  ["resets", (socket: Socket) => socket.resetAndDestroy()],
] as const;

/** One request, whole: its connection (from 1), its place on that (from 1), and its head. */
interface Request {
  connection: number;
  place: number;
  head: string;
}

import { systemLookup } from "../../support/system-lookup.ts";

describe("a connection to a target", () => {
  let server: Server;
  let port: number;
  let answer: (socket: Socket, request: Request) => void;
  let onRequest: () => void;
  const requests: Request[] = [];
  const sockets: Socket[] = [];
  const ends: Promise<unknown>[] = [];
  let shiftMs = 0;
  const clock: Clock = {
    ...systemClock,
    nowMs: () => systemClock.nowMs() + shiftMs,
    monotonicMs: () => systemClock.monotonicMs() + shiftMs,
  };
  const ended = new Map<Attempt, (outcome: Outcome) => void>();
  let caller: HttpCaller;

  beforeEach(async () => {
    for (const list of [requests, sockets, ends]) list.length = 0;
    shiftMs = 0;
    answer = (socket) => socket.write(ok);
    onRequest = () => undefined;
    server = createServer((socket) => {
      const connection = sockets.push(socket);
      ends.push(new Promise((resolve) => socket.on("close", resolve)));
      let place = 0;
      let text = "";
      socket.on("error", () => undefined);
      socket.on("data", (chunk) => {
        text += chunk.toString("latin1");
        // The body of every call here is {}.
        if (!text.endsWith("\r\n\r\n{}")) return;
        const request = { connection, place: ++place, head: text };
        text = "";
        requests.push(request);
        onRequest();
        answer(socket, request);
      });
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    port = (server.address() as AddressInfo).port;
    caller = createHttpCaller({
      clock,
      random: systemRandom,
      admit: () => true,
      onEnd: (attempt, { outcome }) => ended.get(attempt)?.(outcome),
      move: () => undefined,
      outlive: () => undefined,
      isDoubtful: () => false,
      isStale: () => false,
      takesRecords: () => true,
      review: () => undefined,
      load: { utilisation: () => 0 },
      lookup: systemLookup(),
    });
  });
  afterEach(async () => {
    caller.close();
    for (const socket of sockets) socket.destroy();
    server.close();
    await once(server, "close");
  });

  const start = (executionId = "job-1", timeoutMs = 60_000) => {
    const entry = dueEntry({ jobId: jobNamed("job"), url: `http://127.0.0.1:${port}/`, timeoutMs });
    const attempt = new Attempt(compileCall(entry, toBinary(DueEntrySchema, entry)), executionId, 1, 1, settlement);
    const outcome = new Promise<Outcome>((resolve) => ended.set(attempt, resolve));
    caller.submit([attempt]);
    return { attempt, outcome };
  };
  const call = (executionId?: string, timeoutMs?: number) => start(executionId, timeoutMs).outcome;
  const arrived = (count: number) =>
    new Promise<void>((resolve) => {
      onRequest = () => requests.length === count && resolve();
    });
  const header = (request: Request | undefined, name: string) =>
    new RegExp(`^${name}: (.*)\r$`, "im").exec(request?.head ?? "")?.[1];
  /** How many connections there were once all that were asked for have been made. */
  const connectionsMade = async () => {
    // They are accepted in the order in which they were asked for.
    const before = sockets.length;
    const probe = connect(port, "127.0.0.1");
    await once(probe, "connect");
    while (sockets.every((socket) => socket.remotePort !== probe.localPort)) await once(server, "connection");
    probe.destroy();
    return Math.max(before, sockets.length - 1);
  };

  it("is let go of when it was not needed for a while, for however long the target would keep it", async () => {
    const kept = ok.replace("\r\n", "\r\nKeep-Alive: timeout=600\r\n");
    const count = 8;
    answer = () => {
      if (requests.length === count) for (const socket of sockets) socket.write(kept);
    };
    await Promise.all(Array.from({ length: count }, (_, i) => call(`job-${i}`)));
    expect(sockets).toHaveLength(count);
    answer = (socket) => void setTimeout(() => socket.write(kept), 50);
    // Time passes for the sweep, which comes while a call is on the wire, and for nothing else.
    const sweep = async () => {
      shiftMs += 15_000;
      await call();
    };
    await sweep();
    expect(sockets.filter(({ closed, readableEnded }) => closed || readableEnded)).toEqual([]);
    await sweep();
    const used = requests.at(-1)?.connection ?? 0;
    await Promise.all(ends.filter((_, i) => i !== used - 1));
    expect(await call()).toEqual({ kind: "success", httpStatus: 200 });
    expect(sockets).toHaveLength(count);
  });

  describe.each(deaths)("that the target %s as its second call comes", (_, die) => {
    beforeEach(() => {
      answer = (socket, { connection, place }) => {
        if (connection === 1 && place === 2) die(socket);
        else socket.write(ok);
      };
    });

    it("costs no attempt: the call goes out again, on a new one", async () => {
      await call("job-1");
      expect(await call("job-2")).toEqual({ kind: "success", httpStatus: 200 });
      expect(requests.map(({ connection, place }) => [connection, place])).toEqual([
        [1, 1],
        [1, 2],
        [2, 1],
      ]);
      for (const name of ["idempotency-key", "carillon-attempt"]) {
        expect(header(requests[2], name)).toBe(header(requests[1], name));
      }
      expect(header(requests[2], "idempotency-key")).toBe("job-2");
      expect(caller.inFlight()).toBe(0);
    });

    it("does not count into the timestamp of the call that went out again", async () => {
      await call();
      onRequest = () => {
        if (requests.length === 2) shiftMs = 20_000;
      };
      const startedAtMs = clock.nowMs();
      const { attempt, outcome } = start();
      await outcome;
      const { state } = attempt;
      if (state.kind !== "ended") throw new Error(`it is ${state.kind}`);
      expect(state.sentAtMs).toBeGreaterThanOrEqual(startedAtMs + 20_000);
      expect(state.durationMs).toBeLessThan(20_000);
    });

    it("does not put off the deadline", async () => {
      answer = (socket, { connection, place }) => {
        if (place === 1 && connection === 1) socket.write(ok);
        if (place === 2) die(socket);
      };
      await call();
      onRequest = () => {
        if (requests.length > 1) shiftMs += 31_000;
      };
      expect(await call("job-2", 60_000)).toMatchObject({ reason: "TIMEOUT", message: "no answer within 60000 ms" });
      expect(requests).toHaveLength(3);
      expect(caller.inFlight()).toBe(0);
    });

    it("leaves nothing behind when the executor stops meanwhile", async () => {
      answer = (socket, { connection, place }) => {
        if (place === 1 && connection === 1) socket.write(ok);
        if (place === 2) die(socket);
      };
      await call();
      const again = arrived(3);
      start();
      await again;
      caller.close();
      await Promise.all(ends);
      expect(await connectionsMade()).toBe(2);
    });
  });

  it.each(deaths)("that the target %s while it is idle costs no attempt", async (_, die) => {
    await call();
    for (const socket of sockets) die(socket);
    expect(await call()).toEqual({ kind: "success", httpStatus: 200 });
    expect(await connectionsMade()).toBe(2);
  });

  it.each(deaths)("that the target %s on its first call is the failure of the call", async (_, die) => {
    answer = die;
    expect(await call()).toMatchObject({ reason: "CONNECTION_RESET" });
    expect(requests).toHaveLength(1);
  });

  it.each(deaths)("that the target %s once the answer has begun is not tried again", async (_, die) => {
    answer = (socket, { place }) => {
      if (place === 1) socket.write(ok);
      else socket.write("H", () => setImmediate(() => die(socket)));
    };
    await call();
    expect(await call()).toMatchObject({ reason: "CONNECTION_RESET" });
    expect(requests).toHaveLength(2);
  });

  it.each(deaths)("that the target %s again and again is tried again once", async (_, die) => {
    answer = (socket) => (requests.length === 1 ? socket.write(ok) : die(socket));
    await call();
    expect(await call()).toMatchObject({ reason: "CONNECTION_RESET" });
    expect(requests).toHaveLength(3);
  });

  it("that a call was cut off on is not replaced before there is a call for it", async () => {
    answer = () => undefined;
    for (const id of ["job-1", "job-2"]) expect(await call(id, 50)).toMatchObject({ reason: "TIMEOUT" });
    answer = (socket) => socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 500000\r\n\r\n${"a".repeat(100_000)}`);
    expect(await call("job-3")).toMatchObject({ kind: "success" });
    await Promise.all(ends);
    expect(await connectionsMade()).toBe(requests.length);
  });

  it.each([
    ["together with the answer", (socket: Socket) => socket.write(`HTTP/1.1 100 Continue\r\n\r\n${ok}`)],
    [
      "well before the answer",
      (socket: Socket) => socket.write("HTTP/1.1 100 Continue\r\n\r\n", () => setImmediate(() => socket.write(ok))),
    ],
    [
      "twice, and with headers",
      (socket: Socket) => {
        socket.write("HTTP/1.1 100 Continue\r\nDate: today\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n");
        socket.write(ok);
      },
    ],
  ] as const)("may bring a 100 that nobody asked for, %s", async (_, write) => {
    answer = write;
    for (const id of ["job-1", "job-2"]) expect(await call(id)).toEqual({ kind: "success", httpStatus: 200 });
    expect(await connectionsMade()).toBe(1);
  });

  it("that dies after a 100 is not tried again: the target has the call", async () => {
    answer = (socket, { place }) => {
      if (place === 1) socket.write(ok);
      else socket.write("HTTP/1.1 100 Continue\r\n\r\n", () => setImmediate(() => socket.end()));
    };
    await call();
    expect(await call()).toMatchObject({ reason: "CONNECTION_RESET" });
    expect(requests).toHaveLength(2);
  });

  it("that the target wants to use for something else than HTTP ends the call with that status as the reason", async () => {
    answer = (socket) =>
      socket.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
    expect(await call()).toMatchObject({
      reason: "NETWORK_ERROR",
      message: `127.0.0.1:${port} answered with the unexpected status 101`,
    });
  });
});
