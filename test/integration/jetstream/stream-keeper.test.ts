import { rm } from "node:fs/promises";
import { RetentionPolicy } from "nats";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Broker, createBroker } from "../../../services/platform/jetstream/broker.ts";
import { type Clock, systemClock } from "../../../services/platform/process/clock.ts";
import { createStreamKeeper, type StreamKeeper } from "../../../services/wire/stream-keeper.ts";
import { consumers, ensureSubjectConsumer, streams } from "../../../services/wire/streams.ts";
import { subjects } from "../../../services/wire/subjects.ts";
import { type Nats, startNats } from "../../support/nats.ts";
import { eventually } from "../../support/rest.ts";

const events: string[] = [];
const log = pino(
  { level: "info" },
  { write: (line: string) => events.push((JSON.parse(line) as { event: string }).event) },
);
const mib = 1024 ** 2;
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

  const connect = async (options?: Parameters<typeof startNats>[0], brokerMaxBytes?: number) => {
    nats = await startNats(options);
    broker = createBroker({ url: nats.url, name: "test" }, { clock, log });
    keeper = createStreamKeeper(broker, { clock, log }, { replicas: 1, brokerMaxBytes });
    await broker.start();
  };
  /** The keeper of another process, or of another start. */
  const keeperWith = (brokerMaxBytes: number) =>
    createStreamKeeper(broker, { clock, log }, { replicas: 1, brokerMaxBytes });
  const configOf = async (stream: string) => (await broker.jsm.streams.info(stream)).config;
  const limitOf = async (stream: string) => (await configOf(stream)).max_bytes;
  const store = (subject: string, count: number, size: number) =>
    Promise.all(Array.from({ length: count }, () => broker.js.publish(subject, new Uint8Array(size))));
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

  it("lets each of more than a thousand lanes have its consumer, also where the stream stood without a number of them", async () => {
    await connect();
    const retention = RetentionPolicy.Workqueue;
    await broker.jsm.streams.add({ name: streams.lanes, subjects: ["carillon.lanes.*"], retention });
    await keeper.start();
    const count = 1_001;
    for (let i = 0; i < count; i++) {
      const lane = `l${i}`;
      await ensureSubjectConsumer(broker, { stream: streams.lanes, durable: lane, subject: subjects.lane(lane) });
    }
    expect((await broker.jsm.streams.info(streams.lanes)).state.consumer_count).toBe(count);
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

  it("gives each stream a limit of its own out of the broker's", async () => {
    await connect({}, 100 * mib);
    await keeper.start();
    const limits = Object.fromEntries(await Promise.all(everyStream.map(async (name) => [name, await limitOf(name)])));
    expect(limits).toEqual({
      JOBS: 8 * mib,
      DUE: 30 * mib,
      RETRY: 15 * mib,
      LANES: 25 * mib,
      RUNNING: 4 * mib,
      RESULTS: 10 * mib,
      DEAD: 5 * mib,
      TICKS: 2 * mib,
      KV_carillon_partitions: mib,
    });
    const discards = await Promise.all(everyStream.map(async (name) => [name, (await configOf(name)).discard]));
    expect(discards.flatMap(([name, discard]) => (discard === "old" ? [name] : []))).toEqual(["DEAD", "TICKS"]);
    expect(events).toEqual([]);
  });

  it("lets a full DUE refuse what is new, and a full DEAD drop its oldest, and neither takes room of the others", async () => {
    await connect({}, 8 * mib);
    await keeper.start();
    const full = await store(subjects.due(0), 40, 100_000).catch((error) => error);
    expect(full.api_error).toMatchObject({ code: 503, err_code: 10_077 });
    await store(subjects.dead(0, "job"), 40, 100_000);
    const { state } = await broker.jsm.streams.info(streams.dead);
    expect([state.first_seq > 1, state.last_seq]).toEqual([true, 40]);
    for (const subject of [subjects.results, subjects.retry(0), subjects.tick("a"), subjects.job(0, "a")]) {
      await store(subject, 3, 10_000);
    }
  });

  it("takes over new limits on a broker that has the streams, and lowers one no further than to what is in it", async () => {
    await connect({}, 100 * mib);
    await keeper.start();
    await store(subjects.due(0), 80, 100_000);
    await store(subjects.dead(0, "job"), 20, 100_000);
    const lower = keeperWith(20 * mib);
    await lower.ensure();
    const { bytes } = (await broker.jsm.streams.info(streams.due)).state;
    expect(bytes).toBeGreaterThan(8_000_000);
    expect(await limitOf(streams.due)).toBe(bytes);
    expect(await limitOf(streams.dead)).toBe(mib);
    expect((await broker.jsm.streams.info(streams.dead)).state.bytes).toBeLessThanOrEqual(mib);
    await broker.jsm.streams.purge(streams.due);
    await lower.ensure();
    expect(await limitOf(streams.due)).toBe(6 * mib);
    await keeperWith(200 * mib).ensure();
    expect(await limitOf(streams.due)).toBe(60 * mib);
  });

  it("limits the streams of a version that did not", async () => {
    await connect({}, 100 * mib);
    const before = { name: streams.due, subjects: ["carillon.due.*"], retention: RetentionPolicy.Workqueue };
    expect((await broker.jsm.streams.add(before)).config.max_bytes).toBe(-1);
    await keeper.start();
    expect(await configOf(streams.due)).toMatchObject({ max_bytes: 30 * mib, discard: "new" });
  });

  it("makes do with half, and half of that, where the broker has less room, and says so", async () => {
    await connect({ maxStoreBytes: 30 * mib }, 100 * mib);
    await keeper.start();
    expect(await names()).toEqual(everyStream);
    expect(await limitOf(streams.due)).toBe(7.5 * mib);
    expect(said("streams_limited")).toBe(1);
    await keeper.ensure();
    expect(said("streams_limited")).toBe(1);
  });

  it("leaves the streams as they are on a broker that has promised more than it has by now", async () => {
    await connect({ maxStoreBytes: 200 * mib }, 160 * mib);
    await keeper.start();
    await nats.restart({ maxStoreBytes: 40 * mib });
    await eventually(
      async () => said("broker_reconnected"),
      (times) => times > 0,
    );
    await keeperWith(80 * mib).ensure();
    expect(await limitOf(streams.due)).toBe(48 * mib);
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
