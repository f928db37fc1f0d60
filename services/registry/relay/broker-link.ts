import type { Broker } from "../../platform/jetstream/broker.ts";
import type { Publisher } from "../../platform/jetstream/publisher.ts";
import { type Clock, sleep } from "../../platform/process/clock.ts";
import type { Startable } from "../../platform/process/lifecycle.ts";
import type { Log } from "../../platform/process/log.ts";
import type { StreamKeeper } from "../../wire/stream-keeper.ts";
import { allowsAtomicBatches, dropsOldest, streams } from "../../wire/streams.ts";
import type { Relay } from "./relay.ts";

/** The registry's side towards the broker. */
export interface BrokerLink extends Startable {
  /** Whether changes reach the streams at this moment. */
  up(): boolean;
}

export interface StreamFill {
  name: string;
  messages: number;
  bytes: number;
  /** Beyond which it refuses what is new; 0 when it never does. */
  maxBytes: number;
  /** When the oldest of its messages was stored, unix milliseconds; undefined when it is empty. */
  oldestMs: number | undefined;
}

const watchEveryMs = 3_000;
const retryDelayMs = 500;
const watched: ReadonlySet<string> = new Set([
  streams.jobs,
  streams.due,
  streams.retry,
  streams.lanes,
  streams.running,
  streams.results,
  streams.dead,
]);

/**
 * Connects behind the front door's back: a start does not wait for a broker,
 * and what is created meanwhile waits in the outbox. From then on it watches
 * the streams: their backlog, that all of them stand, and whether JOBS is still the
 * one that was filled.
 */
export function createBrokerLink(
  broker: Broker,
  parts: {
    keeper: StreamKeeper;
    publisher: Publisher;
    relay: Relay;
    /** Told what a stream holds at this moment. */
    onStream: (stream: StreamFill) => void;
    /** Looks at the system through the connection, once it stands. */
    watch: Startable;
  },
  deps: { clock: Clock; log: Log },
): BrokerLink {
  const { clock, log } = deps;
  const stopping = new AbortController();
  let publishing = false;
  let linked = false;
  let started = false;

  const look = async () => {
    await parts.relay.checkStream(async () => {
      const { created, config, state } = await broker.jsm.streams.info(streams.jobs);
      const atomicBatches = allowsAtomicBatches(config);
      return { created, lastSequence: state.last_seq, messages: state.messages, atomicBatches };
    });
    const missing = new Set<string>(Object.values(streams));
    for await (const { config: stream, state } of broker.jsm.streams.list()) {
      missing.delete(stream.name);
      if (!watched.has(stream.name)) continue;
      const maxBytes = dropsOldest(stream) ? 0 : stream.max_bytes;
      const { messages, bytes } = state;
      const oldestMs = messages > 0 ? Date.parse(state.first_ts) : undefined;
      parts.onStream({ name: stream.name, messages, bytes, maxBytes, oldestMs });
    }
    if (missing.size > 0) throw new Error(`the broker has no stream ${[...missing].join(", ")}`);
  };

  /** Makes sure of the streams, then looks; until it goes well or the service stops. */
  const lookForSure = async () => {
    while (!stopping.signal.aborted) {
      try {
        await look();
        return;
      } catch (error) {
        if (stopping.signal.aborted) return;
        log.warn({ event: "streams_not_seen", err: error });
        // Somebody may have deleted them.
        await parts.keeper.ensure();
        await sleep(clock, retryDelayMs, stopping.signal);
      }
    }
  };

  const run = async () => {
    await broker.start();
    // Stopped while it waited for a broker: nobody else will close this.
    if (stopping.signal.aborted) return broker.stop();
    await parts.keeper.start();
    if (stopping.signal.aborted) return;
    await parts.publisher.start();
    publishing = true;
    await lookForSure();
    if (stopping.signal.aborted) return;
    await parts.relay.start();
    linked = true;
    await parts.watch.start();
    let wake: (() => void) | undefined;
    const endReconnect = broker.onReconnect(() => wake?.());
    while (!stopping.signal.aborted) {
      const woken = new Promise<void>((resolve) => {
        wake = resolve;
      });
      await Promise.race([sleep(clock, watchEveryMs, stopping.signal), woken]);
      if (broker.connected()) await lookForSure();
    }
    endReconnect();
  };

  return {
    up: () => linked && broker.connected(),
    async start() {
      if (started) return;
      started = true;
      run().catch((error) => {
        if (!stopping.signal.aborted) log.error({ event: "broker_link_failed", err: error });
      });
    },
    /** First what reads the outbox, then what publishes, then the connection. */
    async stop() {
      stopping.abort();
      linked = false;
      await parts.watch.stop();
      await parts.keeper.stop();
      await parts.relay.stop();
      if (publishing) await parts.publisher.stop();
      await broker.stop();
    },
  };
}
