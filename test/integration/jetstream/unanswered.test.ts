import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Broker, createBroker } from "../../../services/platform/jetstream/broker.ts";
import { createConsumerLoop } from "../../../services/platform/jetstream/consumer-loop.ts";
import { createFollower } from "../../../services/platform/jetstream/follower.ts";
import { createPublisher } from "../../../services/platform/jetstream/publisher.ts";
import { systemClock } from "../../../services/platform/process/clock.ts";
import type { Startable } from "../../../services/platform/process/lifecycle.ts";
import { createLog } from "../../../services/platform/process/log.ts";
import { createCoordination } from "../../../services/ticker/io/coordination.ts";
import { createStreamKeeper } from "../../../services/wire/stream-keeper.ts";
import { consumers, streams } from "../../../services/wire/streams.ts";
import { subjects } from "../../../services/wire/subjects.ts";
import { type Nats, startNats } from "../../support/nats.ts";

const deps = { clock: systemClock, log: createLog("test", "silent") };

describe("a broker that dies before it answers", () => {
  let nats: Nats;
  let broker: Broker;
  let part: Startable;

  beforeEach(async () => {
    nats = await startNats();
    broker = createBroker({ url: nats.url, name: "test" }, deps);
    await broker.start();
    await createStreamKeeper(broker, deps, { replicas: 1 }).ensure();
    const publisher = createPublisher(broker, deps);
    await publisher.start();
    await publisher.publish(subjects.due(1), new Uint8Array(1));
    await publisher.publish(subjects.job(1, "a"), new Uint8Array(1));
    await publisher.stop();
  });
  afterEach(async () => {
    await part.stop();
    await broker.stop();
    await nats.stop();
  });

  const silent = {
    onClaim: () => {},
    onClaimsReset: () => {},
    onClaimsComplete: () => {},
    onTick: () => {},
    onTicksReset: () => {},
    onTicksComplete: () => {},
  };
  /** Each asks the broker for something, and calls back when it goes on. */
  const askers: Record<string, (goesOn: () => void) => void> = {
    "a consumer loop"(onMessage) {
      const options = {
        stream: streams.due,
        durable: consumers.due,
        room: () => ({ messages: 10, bytes: 16 * 1024 * 1024 }),
        onMessage,
      };
      part = createConsumerLoop(broker, deps, options);
      void part.start();
    },
    "a follower"(onMessage) {
      part = createFollower(broker, deps, {
        stream: streams.jobs,
        subjects: [subjects.jobs],
        from: "state",
        onMessage,
      });
      void part.start();
    },
    "a read of claims"(read) {
      const coordination = createCoordination(broker, deps, silent);
      part = coordination;
      void coordination.readClaims([1]).then(read);
    },
  };

  for (const [who, ask] of Object.entries(askers)) {
    it(`does not hold up ${who} until the request times out`, async () => {
      // It takes what is sent to it and answers nothing.
      process.kill(nats.pid, "SIGSTOP");
      const wentOn = new Promise<string>((resolve) => ask(() => resolve("went on")));
      // One of its threads may still answer this one: then only the test's own timeout is left to tell.
      const unanswered = new Promise<string>((resolve) => {
        broker.jsm.streams.info(streams.due).catch(() => resolve("timed out"));
      });
      // The requests are on their way by then, or they would be sent again after the reconnection.
      await new Promise((resolve) => setImmediate(resolve));
      await nats.kill();
      await nats.restart();
      expect(await Promise.race([wentOn, unanswered])).toBe("went on");
    });
  }
});
