import type { StreamInfo } from "nats";
import { askBroker } from "../../platform/jetstream/ask-broker.ts";
import type { Broker } from "../../platform/jetstream/broker.ts";
import { type Clock, sleep } from "../../platform/process/clock.ts";
import type { Startable } from "../../platform/process/lifecycle.ts";
import type { Log } from "../../platform/process/log.ts";
import { type LaneKind, laneOf } from "../../wire/lane.ts";
import { allowsAtomicBatches, streams } from "../../wire/streams.ts";
import { lastTokenOfSubject } from "../../wire/subjects.ts";

/** Where attempts wait, as the broker last told: messages by lane, and by run of an executor. */
export interface Waiting {
  lanes: ReadonlyMap<string, number>;
  runs: ReadonlyMap<string, number>;
}

/** Asks the broker, once a second, which lanes have something in them, and who has calls on the wire for long. */
export interface LaneDirectory extends Startable {
  /** Whether LANES takes batches that are stored as one. */
  atomic(): boolean;
  /**
   * Whether more may be put into a lane. Once LANES is four fifths full not into those that have
   * more than their share of it: what their targets leave waiting must not take the room of others.
   */
  mayFill(origin: string, kind: LaneKind): boolean;
}

const everyMs = 1_000;
const nearlyFull = 0.8;

export function createLaneDirectory(
  broker: Broker,
  deps: {
    clock: Clock;
    log: Log;
    onWaiting: (waiting: Waiting) => void;
    /** Told when RUNNING was made. */
    onRunningStream: (created: string) => void;
  },
): LaneDirectory {
  const { clock, log } = deps;
  const stopping = new AbortController();
  let atomic = false;
  let started = false;
  /** Lanes that have more than their share of a stream that is nearly full. */
  let crowded: ReadonlySet<string> = new Set();

  const ask = async () => {
    const options = { subjects_filter: ">" };
    const [lanes, running] = await askBroker(broker, () =>
      Promise.all([broker.jsm.streams.info(streams.lanes, options), broker.jsm.streams.info(streams.running, options)]),
    );
    deps.onRunningStream(running.created);
    atomic = allowsAtomicBatches(lanes.config);
    const messages = bySubject(lanes);
    const isNearlyFull = lanes.config.max_bytes > 0 && lanes.state.bytes > lanes.config.max_bytes * nearlyFull;
    crowded = isNearlyFull ? crowdedOf(messages) : new Set();
    if (!stopping.signal.aborted) deps.onWaiting({ lanes: messages, runs: bySubject(running) });
  };

  return {
    atomic: () => atomic,
    mayFill: (origin, kind) => crowded.size === 0 || !crowded.has(laneOf(origin, kind)),
    async start() {
      if (started) return;
      started = true;
      void (async () => {
        let failed = false;
        while (!stopping.signal.aborted) {
          if (broker.connected()) {
            const error: unknown = await ask().then(
              () => undefined,
              (reason) => reason,
            );
            // Asked again in a second: said once.
            if (error !== undefined && !failed) log.warn({ event: "lanes_not_listed", err: error });
            // One of them may be gone.
            if (error !== undefined && broker.connected()) await broker.ensure();
            failed = error !== undefined;
          }
          await sleep(clock, everyMs, stopping.signal);
        }
      })();
    },
    async stop() {
      stopping.abort();
    },
  };
}

function bySubject({ state }: StreamInfo): Map<string, number> {
  const counts = new Map<string, number>();
  for (const [subject, messages] of Object.entries(state.subjects ?? {})) {
    counts.set(lastTokenOfSubject(subject), messages);
  }
  return counts;
}

function crowdedOf(messages: ReadonlyMap<string, number>): Set<string> {
  let sum = 0;
  for (const count of messages.values()) sum += count;
  const share = sum / Math.max(messages.size, 1);
  return new Set([...messages].filter(([, count]) => count >= share).map(([lane]) => lane));
}
