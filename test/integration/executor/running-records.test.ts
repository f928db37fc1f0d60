import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Attempt } from "../../../services/executor/calls/attempt.ts";
import { createRunningRecords } from "../../../services/executor/lanes/running-records.ts";
import { type Broker, createBroker } from "../../../services/platform/jetstream/broker.ts";
import { createPublisher, type Publisher } from "../../../services/platform/jetstream/publisher.ts";
import { systemClock } from "../../../services/platform/process/clock.ts";
import { createLog } from "../../../services/platform/process/log.ts";
import { createStreamKeeper } from "../../../services/wire/stream-keeper.ts";
import { streams } from "../../../services/wire/streams.ts";
import { jobNamed } from "../../support/job-ids.ts";
import { type Nats, startNats } from "../../support/nats.ts";
import { eventually } from "../../support/rest.ts";

const deps = { clock: systemClock, log: createLog("test", "silent") };

describe("records of what runs long", () => {
  let nats: Nats;
  let broker: Broker;
  let publisher: Publisher;

  beforeAll(async () => {
    nats = await startNats();
    broker = createBroker({ url: nats.url, name: "test" }, deps);
    await broker.start();
    await createStreamKeeper(broker, deps, { replicas: 1 }).ensure();
    publisher = createPublisher(broker, deps);
    await publisher.start();
  });
  afterAll(async () => {
    await publisher.stop();
    await broker.stop();
    await nats.stop();
  });

  it("are removed also when the broker could not tell yet which stream they were made in", async () => {
    const records = createRunningRecords(broker, publisher, deps, "run");
    const { created } = await broker.jsm.streams.info(streams.running);
    const released = Promise.withResolvers<void>();
    const settlement = { done: released.resolve, refused: () => undefined, giveBack: () => undefined };
    const call = { entry: new Uint8Array(1) };
    const attempt = {
      call,
      executionId: `${jobNamed("job")}-1`,
      second: 1,
      number: 1,
      settlement,
      state: { kind: "onWire" },
    };
    records.add(attempt as unknown as Attempt);
    await released.promise;
    records.noteStream(created);
    attempt.settlement.done();
    const { state } = await eventually(
      () => broker.jsm.streams.info(streams.running),
      ({ state: { messages } }) => messages === 0,
    );
    expect(state.last_seq).toBe(1);
    await records.stop();
  });
});
