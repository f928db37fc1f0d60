import { rm } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Broker, createBroker } from "../../../services/platform/jetstream/broker.ts";
import { createConsumerLoop } from "../../../services/platform/jetstream/consumer-loop.ts";
import { createFollower, type FollowerPlace } from "../../../services/platform/jetstream/follower.ts";
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
const reached = (items: readonly string[], count: number) =>
  eventually(
    async () => items.length,
    (length) => length >= count,
  );

describe("JetStream, when what stood on it is gone", () => {
  let nats: Nats;
  let broker: Broker;
  let parts: { stop(): Promise<void> }[];

  beforeEach(async () => {
    parts = [];
    nats = await startNats();
    broker = createBroker({ url: nats.url, name: "test" }, deps);
    // Not started: who finds a stream gone is to have it made again, whatever the keeper does by itself.
    const keeper = createStreamKeeper(broker, deps, { replicas: 1 });
    await broker.start();
    await keeper.ensure();
  });
  afterEach(async () => {
    for (const part of parts.toReversed()) await part.stop();
    await broker.stop();
    await nats.stop();
  });

  const publisherOf = async () => {
    // Sent again soon: the default waits for five seconds.
    const publisher = createPublisher(broker, deps, { ackTimeoutMs: 300 });
    await publisher.start();
    parts.push(publisher);
    return publisher;
  };
  /** Follows JOBS and tells what it hears, in order. */
  const listen = async (from: "state" | "new", place?: FollowerPlace) => {
    const heard = [] as string[];
    const follower = createFollower(broker, deps, {
      stream: streams.jobs,
      subjects: [subjects.jobs],
      from,
      place,
      onMessage: (message) => heard.push(text(message.data)),
      onReset: () => heard.push("another stream"),
      onCaughtUp: () => heard.push("caught up"),
    });
    await follower.start();
    parts.push(follower);
    return heard;
  };
  const loseTheDisk = async () => {
    await nats.kill();
    await rm(nats.storeDir, { recursive: true, force: true });
    await nats.restart();
  };
  const losses = {
    "JOBS is deleted": async () => {
      await broker.jsm.streams.delete(streams.jobs);
    },
    "the broker loses its disk": loseTheDisk,
    "JOBS is deleted and made anew in one moment": async () => {
      await broker.jsm.streams.delete(streams.jobs);
      await broker.ensure();
    },
  };

  for (const [what, lose] of Object.entries(losses)) {
    for (const from of ["state", "new"] as const) {
      it(`a follower from "${from}" reads the stream that replaces its own from the beginning: ${what}`, async () => {
        const heard = await listen(from);
        await reached(heard, 1);
        const publisher = await publisherOf();
        // The place in the old stream lies far beyond the end of the new one.
        for (let i = 0; i < 5; i++) await publisher.publish(subjects.job(1, `a${i}`), bytes(`old ${i}`));
        await reached(heard, 6);
        await lose();
        await publisher.publish(subjects.job(1, "b"), bytes("new 0"));
        await publisher.publish(subjects.job(1, "c"), bytes("new 1"));
        await reached(heard, 10);
        const news = heard.slice(6).filter((item) => item !== "caught up");
        expect(news).toEqual(["another stream", "new 0", "new 1"]);
      }, 30_000);
    }
  }

  it("a follower that was told of another stream keeps its place in it", async () => {
    const heard = await listen("state");
    await reached(heard, 1);
    const publisher = await publisherOf();
    await publisher.publish(subjects.job(1, "a"), bytes("old"));
    await reached(heard, 2);
    await losses["JOBS is deleted"]();
    await publisher.publish(subjects.job(1, "b"), bytes("new 0"));
    await nats.kill();
    await nats.restart();
    await publisher.publish(subjects.job(1, "c"), bytes("new 1"));
    await reached(heard, 6);
    const told = heard.filter((item) => item !== "caught up");
    expect(told).toEqual(["old", "another stream", "new 0", "new 1"]);
  }, 30_000);

  it("a follower goes on from a place of an earlier run, and has read nothing of a stream that was made later", async () => {
    const publisher = await publisherOf();
    const publish = (job: string, what: string) => publisher.publish(subjects.job(1, job), bytes(what));
    for (let i = 0; i < 4; i++) await publish(`a${i}`, `old ${i}`);
    await publish("a0", "old 4");
    const { created } = await broker.jsm.streams.info(streams.jobs);
    const place = { stream: created, sequence: 3 };
    const heard = await listen("state", place);
    await reached(heard, 3);
    expect(heard).toEqual(["old 3", "old 4", "caught up"]);
    const last = await listen("state", { ...place, sequence: 5 });
    await reached(last, 1);
    expect(last).toEqual(["caught up"]);
    await losses["JOBS is deleted and made anew in one moment"]();
    for (let i = 0; i < 5; i++) await publish(`b${i}`, `new ${i}`);
    const late = await listen("state", place);
    await reached(late, 7);
    expect(late).toEqual(["another stream", "new 0", "new 1", "new 2", "new 3", "new 4", "caught up"]);
  }, 30_000);

  it("a follower of what is new keeps its place when its consumer is lost before the first message", async () => {
    const publisher = await publisherOf();
    for (let i = 0; i < 3; i++) await publisher.publish(subjects.job(1, `a${i}`), bytes(`old ${i}`));
    const consumerOf = async () => (await broker.jsm.consumers.list(streams.jobs).next())[0]?.name;
    const heard = await listen("new");
    await reached(heard, 1);
    const first = await eventually(consumerOf, (name) => name !== undefined);
    const reconnected = new Promise<void>((resolve) => broker.onReconnect(resolve));
    // It lives in the broker's memory.
    await nats.kill();
    await nats.restart();
    await reconnected;
    await eventually(consumerOf, (name) => name !== undefined && name !== first);
    await publisher.publish(subjects.job(1, "b"), bytes("new"));
    await reached(heard, 2);
    expect(heard).toEqual(["caught up", "new"]);
  }, 30_000);

  const dueLosses = {
    "its consumer is deleted": async () => {
      await broker.jsm.consumers.delete(streams.due, consumers.due);
    },
    "its stream is deleted": async () => {
      await broker.jsm.streams.delete(streams.due);
    },
    "the broker loses its disk": loseTheDisk,
  };
  for (const [what, lose] of Object.entries(dueLosses)) {
    it(`a durable consumer goes on by itself: ${what}`, async () => {
      const worked = [] as string[];
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
      parts.push(loop);
      const publisher = await publisherOf();
      await publisher.publish(subjects.due(5), bytes("before"));
      await reached(worked, 1);
      // The acknowledgement has arrived as well, or the message would rightly come again.
      await eventually(
        () => broker.jsm.streams.info(streams.due),
        ({ state }) => state.messages === 0,
      );
      await lose();
      await publisher.publish(subjects.due(5), bytes("after"));
      await reached(worked, 2);
      expect(worked).toEqual(["before", "after"]);
    }, 30_000);
  }
});
