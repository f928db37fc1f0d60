import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Attempt } from "../../../services/executor/calls/attempt.ts";
import { createRetryPublisher } from "../../../services/executor/results/retry-publisher.ts";
import { type Broker, createBroker } from "../../../services/platform/jetstream/broker.ts";
import { createPublisher, type Publisher } from "../../../services/platform/jetstream/publisher.ts";
import { systemClock } from "../../../services/platform/process/clock.ts";
import { createLog } from "../../../services/platform/process/log.ts";
import { createStreamKeeper } from "../../../services/wire/stream-keeper.ts";
import { streams } from "../../../services/wire/streams.ts";
import { jobNamed } from "../../support/job-ids.ts";
import { type Nats, startNats } from "../../support/nats.ts";

const deps = { clock: systemClock, log: createLog("test", "silent") };
const minuteMs = 60_000;

describe("retries", () => {
  let nats: Nats;
  let broker: Broker;
  let publisher: Publisher;

  beforeEach(async () => {
    nats = await startNats();
    broker = createBroker({ url: nats.url, name: "test" }, deps);
    await broker.start();
    await createStreamKeeper(broker, deps, { replicas: 1 }).ensure();
    publisher = createPublisher(broker, deps);
    await publisher.start();
  });
  afterEach(async () => {
    await publisher.stop();
    await broker.stop();
    await nats.stop();
  });

  /** How many messages they take that wait for so long. */
  const messagesOf = async (waitsMs: readonly number[]): Promise<number> => {
    const retries = createRetryPublisher(publisher, deps);
    const jobId = jobNamed("a");
    const nowMs = deps.clock.nowMs();
    await Promise.all(
      waitsMs.map((waitMs, second) => {
        const call = { jobId, entry: new Uint8Array(100) };
        const attempt = { call, executionId: `${jobId}-${second}`, second, number: 1, redrive: undefined };
        return new Promise<void>((resolve) =>
          retries.add(attempt as unknown as Attempt, nowMs + waitMs, () => resolve()),
        );
      }),
    );
    return (await broker.jsm.streams.info(streams.retry)).state.messages;
  };

  it("share a message when they are due about together, less exactly the longer they wait", async () => {
    expect(await messagesOf([100, 4_000, 9_000, 20 * minuteMs, 20.5 * minuteMs])).toBe(3);
  });

  it("share none with what is due minutes later, however long they wait: an executor holds it until its last one is made", async () => {
    expect(await messagesOf([600 * minuteMs, 603 * minuteMs, 630 * minuteMs])).toBe(3);
  });
});
