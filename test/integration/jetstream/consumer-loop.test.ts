import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Broker, createBroker } from "../../../services/platform/jetstream/broker.ts";
import { createConsumerLoop } from "../../../services/platform/jetstream/consumer-loop.ts";
import { createPublisher } from "../../../services/platform/jetstream/publisher.ts";
import { systemClock } from "../../../services/platform/process/clock.ts";
import { createLog } from "../../../services/platform/process/log.ts";
import { createStreamKeeper } from "../../../services/wire/stream-keeper.ts";
import { consumers, streams } from "../../../services/wire/streams.ts";
import { subjects } from "../../../services/wire/subjects.ts";
import { type Nats, startNats } from "../../support/nats.ts";

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
        publisher.publish(subjects.due(1), new Uint8Array(1_000), { messageId: `due-${i}` }),
      ),
    );
    await publisher.stop();
  });
  afterEach(async () => {
    await broker.stop();
    await nats.stop();
  });

  it("hands over all that the broker has sent it before it stops, so that none of it waits for the ack wait", async () => {
    const handedOver: number[] = [];
    const stopped = Promise.withResolvers<void>();
    const loop = createConsumerLoop(broker, deps, {
      stream: streams.due,
      durable: consumers.due,
      maxMessages: 400,
      onMessage(message) {
        // The others are on their way by then.
        if (handedOver.length === 0) stopped.resolve(loop.stop());
        handedOver.push(message.seq);
      },
    });
    await loop.start();
    await stopped.promise;
    const { delivered, num_ack_pending: open } = await broker.jsm.consumers.info(streams.due, consumers.due);
    expect(handedOver.length).toBe(delivered.consumer_seq);
    expect(handedOver.length).toBe(open);
  });
});
