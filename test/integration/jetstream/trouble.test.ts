import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Broker, createBroker } from "../../../services/platform/jetstream/broker.ts";
import { createConsumerLoop } from "../../../services/platform/jetstream/consumer-loop.ts";
import { createPublisher } from "../../../services/platform/jetstream/publisher.ts";
import { type Clock, systemClock } from "../../../services/platform/process/clock.ts";
import { createLog } from "../../../services/platform/process/log.ts";
import { createStreamKeeper } from "../../../services/wire/stream-keeper.ts";
import { consumers, streams } from "../../../services/wire/streams.ts";
import { subjects } from "../../../services/wire/subjects.ts";
import { type Nats, startNats } from "../../support/nats.ts";
import { eventually } from "../../support/rest.ts";

const log = createLog("test", "silent");

describe("what is told of a broker that does not serve, though its connection stands", () => {
  let nats: Nats;
  let broker: Broker;
  let laterMs = 0;
  /** Ten seconds and more pass at once. */
  const wait = () => {
    laterMs += 11_000;
  };
  const clock: Clock = { ...systemClock, monotonicMs: () => systemClock.monotonicMs() + laterMs };
  const deps = { clock, log };

  beforeEach(async () => {
    nats = await startNats();
    broker = createBroker({ url: nats.url, name: "test" }, { clock: systemClock, log });
    await broker.start();
    await createStreamKeeper(broker, { clock: systemClock, log }, { replicas: 1 }).ensure();
  });
  afterEach(async () => {
    process.kill(nats.pid, "SIGCONT");
    await broker.stop();
    await nats.stop();
  });

  const told = (part: { trouble(): string | undefined }, what: RegExp | undefined) =>
    eventually(
      async () => part.trouble(),
      (trouble) => (what ? what.test(trouble ?? "") : trouble === undefined),
    );

  it("a consumer loop says that nothing comes, not even that there is nothing, until something does", async () => {
    const options = { stream: streams.due, durable: consumers.due, onMessage: () => undefined };
    const loop = createConsumerLoop(broker, deps, { ...options, room: () => ({ messages: 10, bytes: 2 ** 24 }) });
    await loop.start();
    wait();
    // An idle stream is no trouble.
    await told(loop, undefined);
    process.kill(nats.pid, "SIGSTOP");
    expect(loop.trouble()).toBeUndefined();
    wait();
    await told(loop, /^the broker has answered no request for messages of DUE for 1\d s$/);
    process.kill(nats.pid, "SIGCONT");
    await told(loop, undefined);
    await loop.stop();
  });

  it("a consumer loop says so, too, where its broker answers at once that nobody serves its consumer", async () => {
    const options = { stream: streams.due, durable: consumers.due, onMessage: () => undefined };
    const loop = createConsumerLoop(broker, deps, { ...options, room: () => ({ messages: 10, bytes: 2 ** 24 }) });
    await loop.start();
    await told(loop, undefined);
    broker.ensuredBy(async () => undefined);
    await broker.jsm.consumers.delete(streams.due, consumers.due);
    // What was on its way comes at once. It asks again four times a second, and hears the same.
    const asks = () => new Promise((resolve) => setTimeout(resolve, 1_000));
    await asks();
    wait();
    await asks();
    expect(loop.trouble()).toMatch(/^the broker has answered no request for messages of DUE/);
    await createStreamKeeper(broker, { clock: systemClock, log }, { replicas: 1 }).ensure();
    await told(loop, undefined);
    await loop.stop();
  });

  it("a consumer loop says that it has no room, and stops saying so once it has", async () => {
    let messages = 0;
    const options = { stream: streams.due, durable: consumers.due, onMessage: () => undefined };
    const loop = createConsumerLoop(broker, deps, { ...options, room: () => ({ messages, bytes: 2 ** 24 }) });
    await loop.start();
    expect(loop.trouble()).toBeUndefined();
    wait();
    await told(loop, /^there is no room for messages of DUE for 1\d s$/);
    messages = 10;
    await told(loop, undefined);
    await loop.stop();
  });

  it("a publisher says that nothing is stored while something waits to be", async () => {
    const publisher = createPublisher(broker, deps);
    await publisher.start();
    await publisher.publish(subjects.due(1), new Uint8Array(1));
    wait();
    expect(publisher.trouble()).toBeUndefined();
    process.kill(nats.pid, "SIGSTOP");
    const report = publisher.publish(subjects.due(1), new Uint8Array(1));
    expect(publisher.trouble()).toBeUndefined();
    wait();
    expect(publisher.trouble()).toMatch(/^the broker has stored nothing .* for 1\d s: it does not answer$/);
    process.kill(nats.pid, "SIGCONT");
    await report;
    expect(publisher.trouble()).toBeUndefined();
    await publisher.stop();
  });

  it("a publisher gives the reason of a broker that refuses what it is sent", async () => {
    const publisher = createPublisher(broker, deps);
    await publisher.start();
    await broker.jsm.streams.update(streams.due, { max_bytes: 1_000 });
    const report = publisher.publish(subjects.due(1), new Uint8Array(5_000));
    wait();
    await told(publisher, /: maximum bytes exceeded$/);
    await broker.jsm.streams.update(streams.due, { max_bytes: 1_000_000 });
    expect(await report).toMatchObject({ kind: "stored" });
    expect(publisher.trouble()).toBeUndefined();
    await publisher.stop();
  });
});
