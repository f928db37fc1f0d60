import { setImmediate as nextTurn } from "node:timers/promises";
import { afterEach, beforeEach } from "vitest";
import { type Broker, createBroker } from "../../services/platform/jetstream/broker.ts";
import { createPublisher, type Publisher } from "../../services/platform/jetstream/publisher.ts";
import { systemClock } from "../../services/platform/process/clock.ts";
import { createLog } from "../../services/platform/process/log.ts";
import { createJobsRange } from "../../services/registry/relay/jobs-range.ts";
import { createPublicationWait, type PublicationWait } from "../../services/registry/relay/publication-wait.ts";
import type { StreamState } from "../../services/registry/relay/rebuild.ts";
import { createRelay, type Relay } from "../../services/registry/relay/relay.ts";
import type { RegistryStore } from "../../services/registry/store/contract.ts";
import { createSqliteRegistryStore } from "../../services/registry/store/sqlite/sqlite-registry-store.ts";
import { createStreamKeeper } from "../../services/wire/stream-keeper.ts";
import { allowsAtomicBatches, streams } from "../../services/wire/streams.ts";
import { type Nats, startNats } from "./nats.ts";
import { followJobs, type JobsStream, removeDir, tempDir } from "./registry.ts";
import { type StoreMethod, type StoreWatch, watchedStore } from "./watched-store.ts";

const log = createLog("test", "silent");

/** A relay over a real store and a real broker, not yet started. */
export interface RelayRig {
  readonly nats: Nats;
  readonly broker: Broker;
  readonly publisher: Publisher;
  /** As it is, for the test itself. */
  readonly store: RegistryStore;
  /** The same, watched: what the relay has. */
  readonly watched: RegistryStore;
  readonly watch: StoreWatch;
  readonly relay: Relay;
  readonly wait: PublicationWait;
  /** JOBS as a ticker sees it. */
  readonly stream: JobsStream;
  /** What waits for a second or more: a retry. Nothing of it comes but by retryAll. */
  readonly retries: readonly (() => void)[];
  retryAll(): void;
  /** Another relay in place of the one there is, which was not started or is stopped. */
  replaceRelay(store: RegistryStore): void;
  /** Lets the relay look at JOBS; what is given differs from what the broker says. */
  look(over?: (state: StreamState) => Partial<StreamState> | Promise<Partial<StreamState>>): Promise<void>;
  /** Looks, and starts the relay. */
  start(): Promise<void>;
  until(condition: () => Promise<boolean> | boolean): Promise<void>;
  allWritten(): Promise<void>;
  published(jobId: string, generation: number): Promise<void>;
  /** Holds the next call of a method back, before it reaches the store or before its caller hears of it. */
  hold(moment: "before" | "after", method: StoreMethod): { held: Promise<void>; release: () => void };
}

/** A rig of its own for each test that follows. */
export function useRelay(): RelayRig {
  let dataDir: string;
  let now: {
    nats: Nats;
    broker: Broker;
    publisher: Publisher;
    store: RegistryStore;
    watched: RegistryStore;
    watch: StoreWatch;
    relay: Relay;
    wait: PublicationWait;
    stream: JobsStream;
  };
  let retries: (() => void)[];
  /** Ends what a test that failed holds back. */
  let releases: (() => void)[];
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
  const relayOver = (store: RegistryStore) =>
    createRelay(store, now.publisher, createJobsRange(now.broker), now.wait, { clock, log });

  beforeEach(async () => {
    releases = [];
    retries = [];
    const nats = await startNats({ sync: "default" });
    dataDir = await tempDir();
    const store = createSqliteRegistryStore({ dataDir });
    await store.start();
    const broker = createBroker({ url: nats.url, name: "test-registry" }, { clock: systemClock, log });
    await broker.start();
    await createStreamKeeper(broker, { clock: systemClock, log }, { replicas: 1 }).ensure();
    const publisher = createPublisher(broker, { clock: systemClock, log });
    await publisher.start();
    const watch: StoreWatch = {};
    const watched = watchedStore(store, watch);
    const wait = createPublicationWait({
      clock,
      publishing: () => true,

      seen: () => Promise.resolve(),
    });
    const relay = createRelay(watched, publisher, createJobsRange(broker), wait, { clock, log });
    now = { nats, broker, publisher, store, watched, watch, relay, wait, stream: await followJobs(nats.url) };
  });
  afterEach(async () => {
    delete now.watch.before;
    delete now.watch.after;
    for (const release of releases) release();
    await now.relay.stop();
    await now.publisher.stop();
    await now.broker.stop();
    await now.stream.stop();
    await now.store.stop();
    await now.nats.stop();
    await removeDir(dataDir);
  });

  const look: RelayRig["look"] = (over = () => ({})) =>
    now.relay.checkStream(async () => {
      const { created, config, state } = await now.broker.jsm.streams.info(streams.jobs);
      const { last_seq: lastSequence, messages } = state;
      const said = { created, lastSequence, messages, atomicBatches: allowsAtomicBatches(config) };
      return { ...said, ...(await over(said)) };
    });
  const until: RelayRig["until"] = async (condition) => {
    while (!(await condition())) await nextTurn();
  };

  const rig = {
    get retries() {
      return retries;
    },
    retryAll() {
      for (const retry of retries.splice(0)) retry();
    },
    replaceRelay(store: RegistryStore) {
      now.relay = relayOver(store);
    },
    look,
    async start() {
      await look();
      await now.relay.start();
    },
    until,
    allWritten: () => until(async () => (await now.store.counts()).outbox === 0),
    published: (jobId: string, generation: number) =>
      now.stream.until((events) => (events.get(jobId)?.generation ?? 0) >= generation),
    hold(moment: "before" | "after", method: StoreMethod) {
      const { watch } = now;
      const reached = Promise.withResolvers<void>();
      const released = Promise.withResolvers<void>();
      releases.push(released.resolve);
      watch[moment] = (called) => {
        if (called !== method) return;
        delete watch[moment];
        reached.resolve();
        return released.promise;
      };
      return { held: reached.promise, release: released.resolve };
    },
    get nats() {
      return now.nats;
    },
    get broker() {
      return now.broker;
    },
    get publisher() {
      return now.publisher;
    },
    get store() {
      return now.store;
    },
    get watched() {
      return now.watched;
    },
    get watch() {
      return now.watch;
    },
    get relay() {
      return now.relay;
    },
    get wait() {
      return now.wait;
    },
    get stream() {
      return now.stream;
    },
  };
  return rig;
}
