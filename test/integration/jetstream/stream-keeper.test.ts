import { rm } from "node:fs/promises";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Broker, createBroker } from "../../../services/platform/jetstream/broker.ts";
import { type Clock, systemClock } from "../../../services/platform/process/clock.ts";
import { createStreamKeeper, type StreamKeeper } from "../../../services/wire/stream-keeper.ts";
import { consumers, streams } from "../../../services/wire/streams.ts";
import { type Nats, startNats } from "../../support/nats.ts";
import { eventually } from "../../support/rest.ts";

const events: string[] = [];
const log = pino(
  { level: "info" },
  { write: (line: string) => events.push((JSON.parse(line) as { event: string }).event) },
);
const everyStream = Object.values(streams).sort();
const said = (event: string) => events.filter((other) => other === event).length;

describe("a stream keeper", () => {
  let nats: Nats;
  let broker: Broker;
  let keeper: StreamKeeper;

  let waits = 0;
  const clock: Clock = {
    ...systemClock,
    after(delayMs, callback) {
      waits++;
      return systemClock.after(delayMs, callback);
    },
  };

  const connect = async (options?: Parameters<typeof startNats>[0]) => {
    nats = await startNats(options);
    broker = createBroker({ url: nats.url, name: "test" }, { clock, log });
    keeper = createStreamKeeper(broker, { clock, log }, { replicas: 1 });
    await broker.start();
  };
  const names = async () => (await broker.jsm.streams.names().next()).sort();

  beforeEach(() => {
    events.length = 0;
    waits = 0;
  });
  afterEach(async () => {
    await keeper.stop();
    await broker.stop();
    await nats.stop();
  });

  it("makes every stream and durable consumer at its start, and says nothing about it", async () => {
    await connect();
    await keeper.start();
    expect(await names()).toEqual(everyStream);
    expect((await broker.jsm.consumers.info(streams.due, consumers.due)).config.durable_name).toBe(consumers.due);
    expect(events).toEqual([]);
  });

  it("makes them anew by itself when the broker comes back without its disk", async () => {
    await connect();
    await keeper.start();
    await nats.kill();
    await rm(nats.storeDir, { recursive: true, force: true });
    await nats.restart();
    await eventually(
      async () => said("broker_reconnected"),
      (times) => times > 0,
    );
    expect(await eventually(names, (found) => found.length === everyStream.length)).toEqual(everyStream);
  });

  it("does not wait for answers of a broker that died while it asked", async () => {
    await connect();
    await keeper.start();
    // It takes what is sent to it and answers nothing.
    process.kill(nats.pid, "SIGSTOP");
    const answered = keeper.ensure().then(() => "they stand");
    const unanswered = broker.jsm.streams.info(streams.due).catch(() => "timed out");
    // The requests are on their way by then, or they would be sent again after the reconnection.
    await new Promise((resolve) => setImmediate(resolve));
    await nats.kill();
    await rm(nats.storeDir, { recursive: true, force: true });
    await nats.restart();
    expect(await Promise.race([answered, unanswered])).toBe("they stand");
  });

  it("makes one anew for whoever finds it gone, with its consumer, in one pass for all who ask at once", async () => {
    await connect();
    await keeper.start();
    await broker.jsm.streams.delete(streams.due);
    let passes = 0;
    const requests = broker.nc.subscribe(`$JS.API.STREAM.CREATE.${streams.due}`, { callback: () => passes++ });
    await Promise.all([keeper.ensure(), broker.ensure(), keeper.ensure()]);
    expect(await names()).toEqual(everyStream);
    expect((await broker.jsm.consumers.info(streams.due, consumers.due)).config.durable_name).toBe(consumers.due);
    await broker.nc.flush();
    expect(passes).toBe(1);
    await keeper.ensure();
    await broker.nc.flush();
    expect(passes).toBe(2);
    requests.unsubscribe();
  });

  it("waits for a broker without JetStream, says so once, and then that they stand", async () => {
    const port = await freePort();
    await connect({ port, jetStream: false });
    const started = keeper.start();
    await eventually(
      async () => waits,
      (tries) => tries >= 3,
    );
    expect(said("streams_not_ready")).toBe(1);
    await nats.stop();
    nats = await startNats({ port });
    await started;
    expect(await names()).toEqual(everyStream);
    expect(said("streams_ready")).toBe(1);
  });

  it("that is stopped lets go of everyone who waits, and takes nothing up again", async () => {
    await connect({ jetStream: false });
    const waiting = [keeper.start(), keeper.ensure()];
    await eventually(
      async () => said("streams_not_ready"),
      (times) => times > 0,
    );
    await keeper.stop();
    await Promise.all(waiting);
    await keeper.ensure();
    let tries = 0;
    broker.nc.subscribe("$JS.API.STREAM.CREATE.*", { callback: () => tries++ });
    await nats.restart();
    await eventually(
      async () => said("broker_reconnected"),
      (times) => times > 0,
    );
    await broker.nc.flush();
    expect(tries).toBe(0);
  });
});

/** Of a broker that has been there and is gone: another one can take its place. */
async function freePort(): Promise<number> {
  const nats = await startNats();
  await nats.stop();
  return nats.port;
}
