import type { NatsError } from "nats";
import { afterEach, describe, expect, it } from "vitest";
import { type Broker, createBroker } from "../../../services/platform/jetstream/broker.ts";
import { createPublisher } from "../../../services/platform/jetstream/publisher.ts";
import { removeStored } from "../../../services/platform/jetstream/remove-stored.ts";
import { systemClock } from "../../../services/platform/process/clock.ts";
import { createLog } from "../../../services/platform/process/log.ts";
import { createStreamKeeper } from "../../../services/wire/stream-keeper.ts";
import { streams } from "../../../services/wire/streams.ts";
import { subjects } from "../../../services/wire/subjects.ts";
import { type Nats, type NatsOptions, startNats } from "../../support/nats.ts";
import { eventually } from "../../support/rest.ts";

const deps = { clock: systemClock, log: createLog("test", "silent") };

describe("the removal of a stored message", () => {
  let nats: Nats;
  let broker: Broker;

  const connect = async (options: NatsOptions = {}) => {
    nats = await startNats(options);
    broker = createBroker({ url: nats.url, name: "test" }, deps);
    await broker.start();
  };
  afterEach(async () => {
    await broker.stop();
    await nats.stop();
  });

  it("tells whether it was there", async () => {
    await connect();
    await createStreamKeeper(broker, deps, { replicas: 1 }).ensure();
    const publisher = createPublisher(broker, deps);
    await publisher.start();
    await publisher.publish(subjects.running("run"), new Uint8Array(1));
    await publisher.stop();
    expect(await removeStored(broker, streams.running, 1)).toBe(true);
    expect(await removeStored(broker, streams.running, 1)).toBe(false);
    expect(await removeStored(broker, streams.running, 7)).toBe(false);
  });

  it("does not take it for gone while a cluster has no leader", async () => {
    await connect({ leaderless: true });
    const answer = await eventually(
      () => removeStored(broker, streams.running, 1).catch((error: NatsError) => error.api_error?.code),
      (known) => known !== undefined,
    );
    expect(answer).toBe(503);
  });
});
