import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Broker, createBroker } from "../../../services/platform/jetstream/broker.ts";
import { createFollower } from "../../../services/platform/jetstream/follower.ts";
import { createPublisher } from "../../../services/platform/jetstream/publisher.ts";
import { systemClock } from "../../../services/platform/process/clock.ts";
import { createLog } from "../../../services/platform/process/log.ts";
import { createCoordination } from "../../../services/ticker/io/coordination.ts";
import { createStreamKeeper, type StreamKeeper } from "../../../services/wire/stream-keeper.ts";
import { streams } from "../../../services/wire/streams.ts";
import { subjects } from "../../../services/wire/subjects.ts";
import { type HeldConnection, holdConnection } from "../../support/held-connection.ts";
import { type Nats, startNats } from "../../support/nats.ts";
import { eventually } from "../../support/rest.ts";

const deps = { clock: systemClock, log: createLog("test", "silent") };

// As in a cluster whose leader has died: until there is another one nobody answers, and nobody has kept the request.
describe("a request that gets lost on a connection that stands", () => {
  let nats: Nats;
  let way: HeldConnection;
  let broker: Broker;
  let keeper: StreamKeeper;

  beforeEach(async () => {
    nats = await startNats();
    way = await holdConnection("127.0.0.1", nats.port);
    broker = createBroker({ url: `nats://127.0.0.1:${way.port}`, name: "test" }, deps);
    await broker.start();
    keeper = createStreamKeeper(broker, deps, { replicas: 1 });
    await keeper.ensure();
  });
  afterEach(async () => {
    await keeper.stop();
    await broker.stop();
    await way.stop();
    await nats.stop();
  });

  /** Which comes first: what is waited for, or that a request of the client itself times out. */
  const firstOf = async (wentOn: Promise<unknown>) => {
    const before = way.lost();
    const unanswered = broker.jsm.streams.info(streams.due).then(
      () => "answered",
      () => "timed out",
    );
    await eventually(
      async () => way.lost() > before,
      (lost) => lost,
    );
    way.lose(undefined);
    return Promise.race([wentOn.then(() => "went on"), unanswered]);
  };

  it("does not hold up a follower until it times out", async () => {
    const publisher = createPublisher(broker, deps);
    await publisher.start();
    await publisher.publish(subjects.job(1, "a"), new Uint8Array(1));
    await publisher.stop();
    way.lose("$JS.API.STREAM.INFO.");
    const followed = Promise.withResolvers<void>();
    const follower = createFollower(broker, deps, {
      stream: streams.jobs,
      subjects: [subjects.jobs],
      from: "state",
      onMessage: () => followed.resolve(),
    });
    await follower.start();
    expect(await firstOf(followed.promise)).toBe("went on");
    await follower.stop();
  });

  it("does not hold up a ticker that reads claims until it times out", async () => {
    const coordination = createCoordination(broker, deps, {
      onClaim: () => {},
      onClaimsReset: () => {},
      onClaimsComplete: () => {},
      onTick: () => {},
      onTicksReset: () => {},
      onTicksComplete: () => {},
    });
    way.lose("$JS.API.STREAM.");
    expect(await firstOf(coordination.readClaims([1]))).toBe("went on");
    await coordination.stop();
  });

  it("does not hold up who makes sure of the streams until it times out", async () => {
    way.lose("$JS.API.");
    expect(await firstOf(keeper.ensure())).toBe("went on");
  });
});
