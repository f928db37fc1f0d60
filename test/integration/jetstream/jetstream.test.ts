import { createServer } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createBatchPublisher } from "../../../services/platform/jetstream/batch-publisher.ts";
import { type Broker, createBroker } from "../../../services/platform/jetstream/broker.ts";
import { createConsumerLoop } from "../../../services/platform/jetstream/consumer-loop.ts";
import { createFollower } from "../../../services/platform/jetstream/follower.ts";
import { createPublisher } from "../../../services/platform/jetstream/publisher.ts";
import { systemClock } from "../../../services/platform/process/clock.ts";
import { createLog } from "../../../services/platform/process/log.ts";
import { createStreamKeeper } from "../../../services/wire/stream-keeper.ts";
import { consumers, streams } from "../../../services/wire/streams.ts";
import { subjects } from "../../../services/wire/subjects.ts";
import { type Nats, startNats } from "../../support/nats.ts";
import { eventually } from "../../support/rest.ts";

const deps = { clock: systemClock, log: createLog("test", "silent") };
const bytes = (text: string) => new TextEncoder().encode(text);
const text = (data: Uint8Array) => new TextDecoder().decode(data);

/** Resolves once `count` items were pushed. */
function collector<T>() {
  const items: T[] = [];
  let waiting: { count: number; resolve: () => void }[] = [];
  return {
    items,
    push(item: T) {
      items.push(item);
      for (const waiter of waiting) if (items.length >= waiter.count) waiter.resolve();
      waiting = waiting.filter((waiter) => items.length < waiter.count);
    },
    reached: (count: number) =>
      items.length >= count ? Promise.resolve() : new Promise<void>((resolve) => waiting.push({ count, resolve })),
  };
}

describe("JetStream", () => {
  let nats: Nats;
  let broker: Broker;

  beforeAll(async () => {
    nats = await startNats();
    broker = createBroker({ url: nats.url, name: "test" }, deps);
    await broker.start();
    await createStreamKeeper(broker, deps, { replicas: 1 }).ensure();
  });
  afterAll(async () => {
    await broker.stop();
    await nats.stop();
  });

  it("takes the stream definitions again from each service that starts", async () => {
    await createStreamKeeper(broker, deps, { replicas: 1 }).ensure();
    const names = await broker.jsm.streams.names().next();
    expect(names.sort()).toEqual(Object.values(streams).sort());
  });

  it("stores a repeated message id once", async () => {
    const publisher = createPublisher(broker, deps);
    await publisher.start();
    const first = await publisher.publish(subjects.dead(0, "j"), bytes("a"), { messageId: "same" });
    const second = await publisher.publish(subjects.dead(0, "j"), bytes("a"), { messageId: "same" });
    expect(first).toMatchObject({ kind: "stored", duplicate: false });
    expect(second).toMatchObject({ kind: "stored", duplicate: true });
    await publisher.stop();
  });

  it("forgets a message after the span that it was given, where the broker can", async () => {
    const { config } = await broker.jsm.streams.info(streams.jobs);
    const expires = (config as { allow_msg_ttl?: boolean }).allow_msg_ttl === true;
    const publisher = createPublisher(broker, deps);
    await publisher.start();
    const subject = subjects.job(9, "gone");
    expect(await publisher.publish(subject, bytes("a"), { ttlSeconds: 1 })).toMatchObject({ kind: "stored" });
    await publisher.stop();
    const kept = async () => {
      const { state } = await broker.jsm.streams.info(streams.jobs, { subjects_filter: subject });
      return state.subjects?.[subject] ?? 0;
    };
    if (expires) await eventually(kept, (messages) => messages === 0);
    else expect(await kept()).toBe(1);
  });

  it("lets one of two claimants win", async () => {
    const publisher = createPublisher(broker, deps);
    await publisher.start();
    const outcomes = await Promise.all(
      ["a", "b"].map((owner) => publisher.publish(subjects.claim(1), bytes(owner), { expectLastSubjectSequence: 0 })),
    );
    expect(outcomes.map((outcome) => outcome.kind).sort()).toEqual(["refused", "stored"]);
    await publisher.stop();
  });

  it("loses no message of a publisher, a consumer and a follower when the broker is killed and comes back", async () => {
    const publisher = createPublisher(broker, deps, { window: 16 });
    await publisher.start();
    const worked = collector<string>();
    const loop = createConsumerLoop(broker, deps, {
      stream: streams.due,
      durable: consumers.due,
      room: () => ({ messages: 100, bytes: 16 * 1024 * 1024 }),
      onMessage: (message) => {
        worked.push(text(message.data));
        message.ack();
      },
    });
    await loop.start();
    const followed = collector<string>();
    const follower = createFollower(broker, deps, {
      stream: streams.jobs,
      subjects: [subjects.jobsOfPartition(5)],
      from: "state",
      onMessage: (message) => followed.push(text(message.data)),
    });
    await follower.start();

    const total = 600;
    const published: Promise<unknown>[] = [];
    for (let i = 0; i < total; i++) {
      published.push(publisher.publish(subjects.due(5), bytes(`due ${i}`), { messageId: `d${i}` }));
      published.push(publisher.publish(subjects.job(5, `j${i}`), bytes(`job ${i}`), { messageId: `j${i}` }));
      if (i === total / 3) {
        await worked.reached(10);
        await nats.kill("SIGKILL");
        await nats.restart();
      }
    }
    const outcomes = await Promise.all(published);
    expect(outcomes.every((outcome) => (outcome as { kind: string }).kind === "stored")).toBe(true);
    await followed.reached(total);
    await worked.reached(total);
    const expected = Array.from({ length: total }, (_, i) => i);
    expect(new Set(worked.items)).toEqual(new Set(expected.map((i) => `due ${i}`)));
    // The follower promises more: each once, in order of publishing.
    expect(new Set(followed.items)).toEqual(new Set(expected.map((i) => `job ${i}`)));
    expect(followed.items.length).toBe(total);
    await loop.stop();
    await follower.stop();
    await publisher.stop();
  });

  it("comes back to a broker that had refused its clients for a while", async () => {
    await nats.kill();
    const refusals = Promise.withResolvers<void>();
    let refused = 0;
    const closed = createServer((socket) => {
      socket.on("error", () => undefined);
      socket.write(`INFO {"server_id":"x","version":"2.15.0","headers":true,"max_payload":1048576}\r\n`);
      // The client has introduced itself.
      socket.once("data", () => socket.end("-ERR 'Authorization Violation'\r\n"));
      refused++;
      if (refused > 3) refusals.resolve();
    });
    await new Promise<void>((resolve) => closed.listen(nats.port, "127.0.0.1", resolve));
    await Promise.race([refusals.promise, broker.nc.closed().then(() => Promise.reject(new Error("it gave up")))]);
    await new Promise((resolve) => closed.close(resolve));
    await nats.restart();
    await eventually(
      async () => broker.connected(),
      (connected) => connected,
    );
  });

  describe("many messages at once", () => {
    const messages = (name: string, count: number, subject = (i: number) => subjects.job(7, `${name}${i}`)) =>
      Array.from({ length: count }, (_, i) => ({
        subject: subject(i),
        payload: bytes(`${name} ${i}`),
        messageId: `${name}${i}`,
      }));
    const publishAll = async (...batches: ReturnType<typeof messages>[]) => {
      const publisher = createPublisher(broker, deps);
      await publisher.start();
      const many = createBatchPublisher(publisher);
      const outcomes = await Promise.all(batches.flatMap((batch) => many.publish(batch, true)));
      await publisher.stop();
      return outcomes.map((outcome) => (outcome.kind === "stored" ? outcome.sequence : outcome));
    };

    it("are stored in order, each with its own sequence", async () => {
      const sent = messages("batch", 1_200);
      const sequences = await publishAll(sent);
      expect(new Set(sequences).size).toBe(sent.length);
      for (const index of [0, 499, 500, 1_199]) {
        const stored = await broker.jsm.streams.getMessage(streams.jobs, { seq: Number(sequences[index]) });
        expect(stored.subject).toBe(sent[index]?.subject);
        expect(text(stored.data)).toBe(`batch ${index}`);
      }
    });

    it("are stored once when they are sent again, and answered with their first sequences", async () => {
      const sent = messages("again", 100);
      const first = await publishAll(sent);
      expect(await publishAll(sent)).toEqual(first);
      // Half of them new.
      const more = messages("again", 200);
      const sequences = await publishAll(more);
      expect(sequences.slice(0, 100)).toEqual(first);
      expect(new Set(sequences).size).toBe(200);
    });

    it("go one by one to a stream that takes no batches", async () => {
      const sequences = await publishAll(messages("single", 60, () => subjects.dead(7, "j")));
      expect(new Set(sequences).size).toBe(60);
      expect(sequences.every((sequence) => typeof sequence === "number")).toBe(true);
    });

    it("are all stored, each once, when the broker is killed meanwhile", async () => {
      const batches = Array.from({ length: 30 }, (_, i) => messages(`killed${i}-`, 100));
      const sequences = publishAll(...batches);
      await nats.kill("SIGKILL");
      await nats.restart();
      expect(new Set(await sequences).size).toBe(3_000);
      const { state } = await broker.jsm.streams.info(streams.jobs, { subjects_filter: "carillon.jobs.7.*" });
      const kept = Object.keys(state.subjects ?? {}).filter((subject) => subject.includes(".killed"));
      expect(kept).toHaveLength(3_000);
    });
  });

  it("tells a follower of an empty subject that it has caught up", async () => {
    const caughtUp = Promise.withResolvers<void>();
    const follower = createFollower(broker, deps, {
      stream: streams.jobs,
      subjects: [subjects.jobsOfPartition(63)],
      from: "state",
      onMessage: () => undefined,
      onCaughtUp: caughtUp.resolve,
    });
    await follower.start();
    await caughtUp.promise;
    await follower.stop();
  });
});
