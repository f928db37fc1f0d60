import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Broker, createBroker } from "../../../services/platform/jetstream/broker.ts";
import { createConsumerLoop } from "../../../services/platform/jetstream/consumer-loop.ts";
import { createPublisher } from "../../../services/platform/jetstream/publisher.ts";
import { systemClock } from "../../../services/platform/process/clock.ts";
import { createLog } from "../../../services/platform/process/log.ts";
import { createStreamKeeper } from "../../../services/wire/stream-keeper.ts";
import { consumers, streams } from "../../../services/wire/streams.ts";
import { subjects } from "../../../services/wire/subjects.ts";
import { holdConnection } from "../../support/held-connection.ts";
import { type Nats, startNats } from "../../support/nats.ts";
import { eventually } from "../../support/rest.ts";

const maxMessages = 400;
const messageBytes = 1_000;
const deps = { clock: systemClock, log: createLog("test", "silent") };

describe("a consumer loop", () => {
  let nats: Nats;
  let broker: Broker;

  beforeEach(async () => {
    nats = await startNats();
    broker = createBroker({ url: nats.url, name: "test" }, deps);
    await broker.start();
    await createStreamKeeper(broker, deps, { replicas: 1 }).ensure();
    const publisher = createPublisher(broker, deps);
    await publisher.start();
    await Promise.all(
      Array.from({ length: 500 }, (_, i) =>
        publisher.publish(subjects.due(1), new Uint8Array(messageBytes), { messageId: `due-${i}` }),
      ),
    );
    await publisher.stop();
  });
  afterEach(async () => {
    await broker.stop();
    await nats.stop();
  });

  it("goes on once its consumer is there again, also while nobody answers for the streams", async () => {
    const way = await holdConnection("127.0.0.1", nats.port);
    const far = createBroker({ url: `nats://127.0.0.1:${way.port}`, name: "far" }, deps);
    await far.start();
    const keeper = createStreamKeeper(far, deps, { replicas: 1 });
    way.lose("$JS.API.INFO");
    await broker.jsm.consumers.delete(streams.due, consumers.due);
    const handedOver = Promise.withResolvers<void>();
    const loop = createConsumerLoop(far, deps, {
      stream: streams.due,
      durable: consumers.due,
      room: () => ({ messages: maxMessages, bytes: 16 * 1024 * 1024 }),
      onMessage: () => handedOver.resolve(),
    });
    await loop.start();
    await eventually(
      async () => way.lost(),
      (lost) => lost > 0,
    );
    await createStreamKeeper(broker, deps, { replicas: 1 }).ensure();
    await handedOver.promise;
    await loop.stop();
    await keeper.stop();
    await far.stop();
    await way.stop();
  });

  it("hands over all that the broker has sent it before it stops, so that none of it waits for the ack wait", async () => {
    const line = await holdConnection("127.0.0.1", nats.port);
    const far = createBroker({ url: `nats://127.0.0.1:${line.port}`, name: "far" }, deps);
    await far.start();
    let handedOver = 0;
    const loop = createConsumerLoop(far, deps, {
      stream: streams.due,
      durable: consumers.due,
      room: () => ({ messages: maxMessages, bytes: 16 * 1024 * 1024 }),
      onMessage: () => handedOver++,
    });
    line.holdAfter("CONSUMER.MSG.NEXT");
    await loop.start();
    await eventually(
      async () => line.heldBytes(),
      (bytes) => bytes > maxMessages * messageBytes,
    );
    expect(handedOver).toBe(0);
    const stopped = loop.stop();
    line.release();
    await stopped;
    expect(handedOver).toBe(maxMessages);
    const { num_ack_pending: open } = await broker.jsm.consumers.info(streams.due, consumers.due);
    expect(open).toBe(maxMessages);
    await far.stop();
    await line.stop();
  });
});
