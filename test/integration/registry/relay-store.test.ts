import { setImmediate as nextTurn } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Broker, createBroker } from "../../../services/platform/jetstream/broker.ts";
import { createPublisher, type Publisher } from "../../../services/platform/jetstream/publisher.ts";
import { systemClock } from "../../../services/platform/process/clock.ts";
import { createLog } from "../../../services/platform/process/log.ts";
import { createPublicationWait } from "../../../services/registry/relay/publication-wait.ts";
import { createRelay, type Relay } from "../../../services/registry/relay/relay.ts";
import { lanes, type RegistryStore } from "../../../services/registry/store/contract.ts";
import { createSqliteRegistryStore } from "../../../services/registry/store/sqlite/sqlite-registry-store.ts";
import { createStreamKeeper } from "../../../services/wire/stream-keeper.ts";
import { allowsAtomicBatches, streams } from "../../../services/wire/streams.ts";
import { type Nats, startNats } from "../../support/nats.ts";
import { followJobs, type JobsStream, removeDir, tempDir } from "../../support/registry.ts";
import { change, createIn, creationOf, deleteIn, idOf } from "../../support/registry-store-rows.ts";
import { type StoreMethod, type StoreWatch, watchedStore } from "../../support/watched-store.ts";

const log = createLog("test", "silent");

describe("the relay over a store that takes its time", { timeout: 60_000 }, () => {
  let nats: Nats;
  let dataDir: string;
  let store: RegistryStore;
  let broker: Broker;
  let publisher: Publisher;
  let relay: Relay;
  let stream: JobsStream;
  let watch: StoreWatch;
  /** Ends what a test that failed holds back. */
  let releases: (() => void)[];
  /** What waits for a second or more: a retry. */
  let retries: (() => void)[];
  const clock = {
    ...systemClock,
    after(delayMs: number, callback: () => void) {
      if (delayMs < 1_000) return systemClock.after(delayMs, callback);
      retries.push(callback);
      return () => {
        retries = retries.filter((one) => one !== callback);
      };
    },
  };
  const retryAll = () => {
    for (const retry of retries.splice(0)) retry();
  };

  beforeEach(async () => {
    watch = {};
    releases = [];
    retries = [];
    nats = await startNats({ sync: "default" });
    dataDir = await tempDir();
    store = createSqliteRegistryStore({ dataDir });
    await store.start();
    broker = createBroker({ url: nats.url, name: "test-registry", log });
    await broker.start();
    await createStreamKeeper(broker, { clock: systemClock, log }, { replicas: 1 }).ensure();
    publisher = createPublisher(broker, { clock: systemClock, log });
    await publisher.start();
    const watched: StoreWatch = {
      before: (method) => watch.before?.(method),
      after: (method) => watch.after?.(method),
    };
    relay = createRelay(
      watchedStore(store, watched),
      publisher,
      createPublicationWait({ clock, publishing: () => true }),
      { clock, log },
    );
    stream = await followJobs(nats.url);
  });
  afterEach(async () => {
    watch = {};
    for (const release of releases) release();
    await relay.stop();
    await publisher.stop();
    await broker.stop();
    await stream.stop();
    await store.stop();
    await nats.stop();
    await removeDir(dataDir);
  });

  const look = () =>
    relay.checkStream(async () => {
      const { created, config, state } = await broker.jsm.streams.info(streams.jobs);
      const atomicBatches = allowsAtomicBatches(config);
      return { created, lastSequence: state.last_seq, messages: state.messages, atomicBatches };
    });
  const start = async () => {
    await look();
    await relay.start();
  };
  const until = async (condition: () => Promise<boolean> | boolean) => {
    while (!(await condition())) await nextTurn();
  };
  const allWritten = () => until(async () => (await store.counts()).outbox === 0);
  /** Holds the next call of a method back before or after it reaches the store. */
  const hold = (moment: keyof StoreWatch, method: StoreMethod) => {
    let reached = () => {};
    let goOn = () => {};
    const held = new Promise<void>((resolve) => {
      reached = resolve;
    });
    const released = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    releases.push(goOn);
    watch[moment] = (called) => {
      if (called !== method) return;
      delete watch[moment];
      reached();
      return released;
    };
    return { held, release: goOn };
  };
  const published = (jobId: string, generation: number) =>
    stream.until((events) => (events.get(jobId)?.generation ?? 0) >= generation);

  it("publishes the last state of each job, never an older one after a newer, however the answers of the store fall", async () => {
    const pause = async () => {
      for (let turns = Math.floor(Math.random() * 4); turns > 0; turns--) await nextTurn();
    };
    watch = { before: pause, after: pause };
    const older: string[] = [];
    const newest = new Map<string, number>();
    void stream.until((events) => {
      for (const [jobId, { generation }] of events) {
        if (generation < (newest.get(jobId) ?? 0)) older.push(jobId);
        newest.set(jobId, generation);
      }
      return false;
    });
    await start();
    const ids = Array.from({ length: 600 }, (_, number) => idOf(number));
    const creations = ids.slice(0, 500).map((jobId) => creationOf(jobId));
    const creating = store.createJobs(creations, { lane: lanes.batchCreate, sinceMs: 0 });
    for (const jobId of ids.slice(500)) void createIn(store, jobId);
    for (let round = 0; round < 40; round++) {
      await Promise.all(ids.slice(round, round + 30).map((jobId) => change(store, jobId)));
      await Promise.all(ids.slice(590).map((jobId) => change(store, jobId)));
    }
    await creating;
    await deleteIn(store, ids[0] ?? "");
    await allWritten();
    const rows = new Map((await store.findStates(ids)).map((row) => [row?.jobId, row?.generation]));
    await stream.until((events) =>
      ids.every((id) => events.get(id)?.generation === (rows.get(id) ?? 0) || id === ids[0]),
    );
    await stream.until((events) => events.get(ids[0] ?? "")?.deleted === true);
    expect(older).toEqual([]);
  });

  it("publishes a change that is committed while the state before it is read, after that or with it", async () => {
    await start();
    const reading = hold("after", "findStates");
    await createIn(store, "a");
    await reading.held;
    await change(store, "a");
    await change(store, "a");
    const generations: number[] = [];
    void stream.until((events) => {
      generations.push(events.get("a")?.generation ?? 0);
      return false;
    });
    reading.release();
    await published("a", 3);
    await allWritten();
    expect(generations).toEqual(generations.toSorted((a, b) => a - b));
    const { messages } = (await broker.jsm.streams.info(streams.jobs)).state;
    expect(messages).toBe(1);
  });

  it.each([
    "readMark",
    "takeOutbox",
    "findStates",
    "writeReceipts",
  ] as const)("tries again when %s fails, only then, and loses nothing", async (method) => {
    await look();
    let failed = 0;
    watch.before = (called) => {
      if (called !== method) return;
      failed++;
      throw new Error("the database is away");
    };
    // What starts anew knows no mark.
    relay = createRelay(
      watchedStore(store, { before: (called) => watch.before?.(called) }),
      publisher,
      createPublicationWait({ clock, publishing: () => true }),
      {
        clock,
        log,
      },
    );
    await relay.start();
    await createIn(store, "a");
    await until(() => failed === 1 && retries.length === 1);
    // Each of these wakes it up.
    for (let number = 0; number < 30; number++) await createIn(store, idOf(number));
    await until(() => method !== "findStates" || stream.events.size === 0);
    const failedAtFirst = failed;
    expect(failedAtFirst).toBeLessThanOrEqual(method === "findStates" ? 31 : 1);
    retryAll();
    await until(() => failed > failedAtFirst && retries.length > 0);
    delete watch.before;
    const all = ["a", ...Array.from({ length: 30 }, (_, number) => idOf(number))];
    const giveUp = setInterval(retryAll, 20);
    await stream.until((events) => all.every((jobId) => events.has(jobId)));
    await allWritten();
    clearInterval(giveUp);
  });

  it("publishes again what went out to a stream that was emptied before its receipt was written", async () => {
    await start();
    const writing = hold("before", "writeReceipts");
    await createIn(store, "a", "b");
    await published("b", 1);
    await writing.held;
    await broker.jsm.streams.purge(streams.jobs);
    await relay.checkStream(async () => {
      const { created, config, state } = await broker.jsm.streams.info(streams.jobs);
      return {
        created: `${created} anew`,
        lastSequence: state.last_seq,
        messages: 0,
        atomicBatches: allowsAtomicBatches(config),
      };
    });
    writing.release();
    const anew = await followJobs(nats.url);
    await anew.until((events) => events.has("a") && events.has("b"));
    await anew.stop();
    await allWritten();
    expect(await store.findStates(["a", "b"])).toMatchObject([{ timingEdition: 2 }, { timingEdition: 2 }]);
  });

  it("fills the stream when another rebuild begins while a page is read, and while its jobs wait behind others", async () => {
    await start();
    const ids = Array.from({ length: 700 }, (_, number) => idOf(number));
    await createIn(store, ...ids);
    await published(ids.at(-1) ?? "", 1);
    await allWritten();
    const again = (name: string) =>
      relay.checkStream(async () => {
        await broker.jsm.streams.purge(streams.jobs);
        const { config, state } = await broker.jsm.streams.info(streams.jobs);
        return { created: name, lastSequence: state.last_seq, messages: 0, atomicBatches: allowsAtomicBatches(config) };
      });
    const page = hold("after", "listJobs");
    watch.after = ((inner) => {
      // The look itself lists one job.
      let lists = 0;
      return (method: StoreMethod) => (method === "listJobs" && lists++ === 0 ? undefined : inner?.(method));
    })(watch.after);
    await again("second");
    await page.held;
    // These are under way, and wait, when the pages come.
    const writing = hold("before", "writeReceipts");
    await Promise.all(ids.slice(0, 50).map((jobId) => change(store, jobId)));
    page.release();
    await writing.held;
    await Promise.all(ids.slice(0, 50).map((jobId) => change(store, jobId)));
    await again("third");
    writing.release();
    const anew = await followJobs(nats.url);
    await anew.until((events) => ids.every((id) => events.has(id)) && events.get(ids[0] ?? "")?.generation === 3);
    await anew.stop();
    await until(async () => (await store.readMark()).rebuiltUpTo === undefined);
    expect(await store.readMark()).toMatchObject({ edition: 3, created: "third" });
  });

  it.each([
    "takeOutbox",
    "findStates",
    "writeReceipts",
  ] as const)("stops while it waits for %s, and leaves the rest to the next start", async (method) => {
    await start();
    const waiting = hold("before", method);
    await createIn(store, "a");
    await waiting.held;
    await change(store, "a");
    const stopped = relay.stop();
    waiting.release();
    await stopped;
    expect(publisher.pending()).toBe(0);
    await store.stop();
    await store.start();
    const { outbox } = await store.counts();
    expect(outbox).toBeGreaterThanOrEqual(1);
    relay = createRelay(store, publisher, createPublicationWait({ clock, publishing: () => true }), { clock, log });
    await start();
    await published("a", 2);
    await allWritten();
  });

  it("publishes with the next look what it was given no hint of", async () => {
    const deaf = watchedStore({ ...store, onOutbox: () => () => undefined }, {});
    relay = createRelay(deaf, publisher, createPublicationWait({ clock, publishing: () => true }), { clock, log });
    await start();
    await createIn(store, "a");
    await look();
    await published("a", 1);
  });
});
