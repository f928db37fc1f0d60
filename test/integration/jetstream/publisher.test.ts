import type { Msg } from "nats";
import { pino } from "pino";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { createBatchPublisher } from "../../../services/platform/jetstream/batch-publisher.ts";
import { type Broker, createBroker } from "../../../services/platform/jetstream/broker.ts";
import {
  createPublisher,
  type Publisher,
  type PublisherOptions,
} from "../../../services/platform/jetstream/publisher.ts";
import { systemClock } from "../../../services/platform/process/clock.ts";
import { createLog } from "../../../services/platform/process/log.ts";
import { type Nats, startNats } from "../../support/nats.ts";

const deps = { clock: systemClock, log: createLog("test", "silent") };
const payload = new Uint8Array(10);

interface ApiError {
  code: number;
  err_code: number;
  description: string;
}

/** A broker's answers, given by hand. */
describe("a publisher", () => {
  let nats: Nats;
  let broker: Broker;
  let publisher: Publisher;
  let stopAnswering = () => {};

  beforeAll(async () => {
    nats = await startNats({ jetStream: false });
    broker = createBroker({ url: nats.url, name: "test" }, deps);
    await broker.start();
  });
  afterEach(async () => {
    stopAnswering();
    await publisher.stop();
  });
  afterAll(async () => {
    await broker.stop();
    await nats.stop();
  });

  const start = async (options: PublisherOptions = {}) => {
    publisher = createPublisher(broker, deps, { ackTimeoutMs: 1, ...options });
    await publisher.start();
  };
  /** Stands in for a stream. Gets how often a subject was asked before. */
  const answer = (with_: (message: Msg, before: number) => object | undefined) => {
    const asked = new Map<string, number>();
    const subscription = broker.nc.subscribe("stream.*", {
      callback(_, message) {
        const before = asked.get(message.subject) ?? 0;
        asked.set(message.subject, before + 1);
        const body = with_(message, before);
        if (body) message.respond(JSON.stringify(body));
      },
    });
    stopAnswering = () => subscription.unsubscribe();
  };

  const passing: ApiError[] = [
    { code: 400, err_code: 10_002, description: "resource limits exceeded for account" },
    { code: 503, err_code: 10_008, description: "JetStream system temporarily unavailable" },
    { code: 500, err_code: 10_009, description: "JetStream cluster can not handle request" },
    { code: 503, err_code: 10_023, description: "insufficient resources" },
    { code: 500, err_code: 10_028, description: "insufficient memory resources available" },
    { code: 503, err_code: 10_039, description: "JetStream not enabled for account" },
    { code: 500, err_code: 10_047, description: "insufficient storage resources available" },
    { code: 503, err_code: 10_077, description: "maximum bytes exceeded" },
    { code: 500, err_code: 10_118, description: "stream is offline" },
    { code: 409, err_code: 10_158, description: "duplicate message id is in process" },
    { code: 503, err_code: 10_163, description: "expected last sequence per subject temporarily unavailable" },
    { code: 429, err_code: 10_167, description: "too many requests" },
    { code: 500, err_code: 10_194, description: "stream is offline: unsupported" },
  ];
  for (const error of passing) {
    it(`sends again what the broker cannot take now: ${error.description} (${error.err_code})`, async () => {
      answer((_, before) => (before === 0 ? { error } : { stream: "S", seq: 7 }));
      await start();
      const report = await publisher.publish("stream.a", payload, { messageId: "a" });
      expect(report).toEqual({ kind: "stored", sequence: 7, duplicate: false });
    });
  }

  const final: ApiError[] = [
    { code: 400, err_code: 10_054, description: "message size exceeds maximum allowed" },
    { code: 400, err_code: 10_071, description: "wrong last sequence: 7" },
    { code: 400, err_code: 10_109, description: "invalid operation on sealed stream" },
    { code: 400, err_code: 10_164, description: "wrong last sequence" },
    { code: 400, err_code: 10_166, description: "per-message TTL is disabled" },
    { code: 400, err_code: 10_176, description: "atomic publish batch is incomplete" },
  ];
  for (const error of final) {
    it(`reports what the broker will never take: ${error.description} (${error.err_code})`, async () => {
      answer(() => ({ error }));
      await start();
      const report = await publisher.publish("stream.a", payload);
      expect(report).toEqual({ kind: "refused", code: error.err_code, description: error.description });
      expect(publisher.pending()).toBe(0);
    });
  }

  it("asks a full stream with one message, and lets the others follow once it takes that, the oldest first", async () => {
    let full = true;
    const refused: string[] = [];
    const stored: string[] = [];
    const error = { code: 503, err_code: 10_077, description: "maximum bytes exceeded" };
    answer(({ subject }) => {
      (full ? refused : stored).push(subject);
      // It has room again once it was asked a second time.
      if (refused.length > 200) full = false;
      return full ? { stream: "S", error } : { stream: "S", seq: stored.length + 1 };
    });
    // Nothing is sent again for want of an answer: one by one they would take minutes.
    await start({ ackTimeoutMs: 600_000 });
    const names = Array.from({ length: 200 }, (_, i) => `stream.${i}`);
    await Promise.all(names.map((name) => publisher.publish(name, payload)));
    expect(refused).toEqual([...names, "stream.0"]);
    expect([...new Set(stored)].sort()).toEqual(names.slice(1).sort());
    expect(stored.slice(0, 3)).toEqual(["stream.1", "stream.2", "stream.3"]);
  });

  it("tells all that waited for another reason that their stream is full, where they are not to wait for room", async () => {
    const asked: string[] = [];
    answer(({ subject }, before) => {
      asked.push(subject);
      // Its store fails at first, and has reached its limit then.
      const description = before === 0 ? "no space left on device" : "maximum bytes exceeded";
      return { stream: "S", error: { code: 503, err_code: 10_077, description } };
    });
    // Nothing is sent again for want of an answer: one by one they would take minutes.
    await start({ ackTimeoutMs: 600_000 });
    const names = Array.from({ length: 200 }, (_, i) => `stream.${i}`);
    const reports = await Promise.all(names.map((name) => publisher.publish(name, payload, { unlessFull: true })));
    expect(new Set(reports.map((report) => report.kind === "refused" && report.code))).toEqual(new Set([10_077]));
    expect([...asked].sort()).toEqual([...names, ...names].sort());
  });

  it("says once in a while that a stream takes nothing, and nothing of a repeat that is on its way", async () => {
    const said: [event: string, code: number][] = [];
    const write = (line: string) => {
      const { event, code } = JSON.parse(line) as { event: string; code: number };
      said.push([event, code]);
    };
    const log = pino({ level: "warn" }, { write });
    const codes = [10_158, 10_158, 10_077, 10_077, 10_077];
    answer((_, before) => {
      const code = codes[before];
      if (code === undefined) return { stream: "S", seq: 1 };
      return { stream: "S", error: { code: code === 10_158 ? 409 : 503, err_code: code, description: "not now" } };
    });
    publisher = createPublisher(broker, { ...deps, log }, { ackTimeoutMs: 1 });
    await publisher.start();
    expect((await publisher.publish("stream.a", payload, { messageId: "a" })).kind).toBe("stored");
    expect(said).toEqual([["publish_deferred", 10_077]]);
  });

  it("sends one message again and again while nobody answers at all, and the others once somebody does", async () => {
    await start({ ackTimeoutMs: 600_000 });
    const asked: string[] = [];
    const sixth = Promise.withResolvers<void>();
    // The others are answered together: none of them waits for another.
    const others: Msg[] = [];
    const followed = (message: Msg) => {
      others.push(message);
      if (others.length < 3) return false;
      for (const other of others.slice(0, 2)) other.respond(JSON.stringify({ stream: "S", seq: 1 }));
      return true;
    };
    // Who could have stored what was sent first is gone; who comes in its place answers the third time.
    answer((message, before) => {
      const { subject } = message;
      asked.push(subject);
      if (asked.length === 6) sixth.resolve();
      if (subject === "stream.0") return before < 2 ? undefined : { stream: "S", seq: 1 };
      return before > 0 && followed(message) ? { stream: "S", seq: 1 } : undefined;
    });
    const reports = [0, 1, 2, 3].map((n) => publisher.publish(`stream.${n}`, payload));
    await sixth.promise;
    expect(asked).toEqual([0, 1, 2, 3, 0, 0].map((n) => `stream.${n}`));
    expect((await Promise.all(reports)).map(({ kind }) => kind)).toEqual(Array(4).fill("stored"));
    expect(asked.slice(6)).toEqual([1, 2, 3].map((n) => `stream.${n}`));
  });

  it("sends nothing again while others are answered, however long one takes", async () => {
    await start({ ackTimeoutMs: 600_000 });
    let slow: Msg | undefined;
    const asked: string[] = [];
    answer((message) => {
      asked.push(message.subject);
      if (message.subject !== "stream.slow") return { stream: "S", seq: asked.length };
      slow = message;
      return undefined;
    });
    const waits = publisher.publish("stream.slow", payload);
    // As many as take more than a silence, one after the other.
    const startedMs = systemClock.monotonicMs();
    while (systemClock.monotonicMs() - startedMs < 1_600) {
      await publisher.publish("stream.quick", payload);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    expect(asked.filter((subject) => subject === "stream.slow")).toHaveLength(1);
    slow?.respond(JSON.stringify({ stream: "S", seq: 1 }));
    expect((await waits).kind).toBe("stored");
  });

  it("reports a message that is too large for the connection, and gives its place to the next", async () => {
    answer(() => ({ stream: "S", seq: 7 }));
    await start({ window: 1 });
    const tooLarge = new Uint8Array((broker.nc.info?.max_payload ?? 0) + 1);
    const reports = await Promise.all(
      [payload, tooLarge, tooLarge, payload].map((bytes) => publisher.publish("stream.a", bytes)),
    );
    expect(reports.map(({ kind }) => kind)).toEqual(["stored", "refused", "refused", "stored"]);
    expect(publisher.pending()).toBe(0);
  });

  it("publishes the rest of a batch one by one when a message in it is too large for the connection", async () => {
    answer(({ headers }) => (headers?.has("Nats-Batch-Id") ? undefined : { stream: "S", seq: 7 }));
    await start();
    const messages = Array.from({ length: 30 }, (_, i) => ({
      subject: `stream.${i}`,
      payload: i === 20 ? new Uint8Array((broker.nc.info?.max_payload ?? 0) + 1) : payload,
      messageId: `m${i}`,
    }));
    const reports = await Promise.all(createBatchPublisher(publisher).publish(messages, true));
    expect(reports.flatMap(({ kind }, index) => (kind === "stored" ? [] : [{ kind, index }]))).toEqual([
      { kind: "refused", index: 20 },
    ]);
  });

  it("publishes a batch one by one to a broker that takes its messages and knows nothing of batches", async () => {
    // It acknowledges the last one, which alone asks for an answer, as if it had come by itself.
    let sequence = 0;
    answer(() => ({ stream: "S", seq: ++sequence }));
    await start();
    const messages = Array.from({ length: 30 }, (_, i) => ({ subject: `stream.${i}`, payload, messageId: `m${i}` }));
    const reports = await Promise.all(createBatchPublisher(publisher).publish(messages, true));
    // Each has been acknowledged by its own sequence, behind those of the batch that nobody took for one.
    expect(reports.map((report) => report.kind === "stored" && report.sequence)).toEqual(
      messages.map((_, i) => messages.length + 1 + i),
    );
  });

  it("has at most a window's messages without an acknowledgement, and sends the others in order", async () => {
    const arrived: Msg[] = [];
    let notify = () => {};
    answer((message) => {
      arrived.push(message);
      notify();
      return undefined;
    });
    const until = async (count: number) => {
      while (arrived.length < count) await new Promise<void>((resolve) => (notify = resolve));
    };
    await start({ window: 2, ackTimeoutMs: 60_000 });
    const reports = ["a", "b", "c", "d"].map((name) => publisher.publish(`stream.${name}`, payload));
    expect(publisher.pending()).toBe(4);
    await until(2);
    await broker.nc.flush();
    expect(arrived.map(({ subject }) => subject)).toEqual(["stream.a", "stream.b"]);
    arrived[1]?.respond(JSON.stringify({ stream: "S", seq: 1 }));
    await until(3);
    expect(arrived[2]?.subject).toBe("stream.c");
    arrived[0]?.respond(JSON.stringify({ stream: "S", seq: 2 }));
    arrived[2]?.respond(JSON.stringify({ stream: "S", seq: 3 }));
    await until(4);
    arrived[3]?.respond(JSON.stringify({ stream: "S", seq: 4 }));
    expect((await Promise.all(reports)).map((report) => report.kind === "stored" && report.sequence)).toEqual([
      2, 1, 3, 4,
    ]);
  });

  it("abandons what has no answer when it stops, what waits for a place included", async () => {
    answer(() => undefined);
    await start({ window: 1 });
    const reports = ["a", "b"].map((name) => publisher.publish(`stream.${name}`, payload));
    await publisher.stop();
    expect(await Promise.all([...reports, publisher.publish("stream.c", payload)])).toEqual(
      Array.from({ length: 3 }, () => ({ kind: "abandoned" })),
    );
    expect(publisher.pending()).toBe(0);
  });
});
