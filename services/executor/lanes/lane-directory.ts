import type { StreamInfo } from "nats";
import { askBroker } from "../../platform/jetstream/ask-broker.ts";
import type { Broker } from "../../platform/jetstream/broker.ts";
import { createPatience } from "../../platform/jetstream/patience.ts";
import { type Clock, sleep } from "../../platform/process/clock.ts";
import type { Startable } from "../../platform/process/lifecycle.ts";
import type { Log } from "../../platform/process/log.ts";
import { type LaneKind, laneOf } from "../../wire/lane.ts";
import { allowsAtomicBatches, streams } from "../../wire/streams.ts";
import { lastTokenOfSubject } from "../../wire/subjects.ts";
import { untilSecondMiddleMs } from "../second-start.ts";
import { crowdedOf, nearlyFull } from "./shares.ts";

/** Where attempts wait, as the broker last told: messages by lane, and by run of an executor. */
export interface Waiting {
  lanes: ReadonlyMap<string, number>;
  runs: ReadonlyMap<string, number>;
}

/** Asks the broker, once a second, which lanes have something in them, and who has calls on the wire for long. */
export interface LaneDirectory extends Startable {
  /** Resolves once the broker was asked: what comes then is not taken in before it is known how full its streams are. */
  start(): Promise<void>;
  /** Whether LANES takes batches that are stored as one. */
  atomic(): boolean;
  /**
   * Whether more may be put into a lane. Once LANES is four fifths full not into those that have
   * more than their share of it: what their targets leave waiting must not take the room of others. Into none once it is
   * all but full: what it refused would keep the messages of everybody.
   */
  mayFill(origin: string, kind: LaneKind): boolean;
  /** An attempt of so many bytes is to go into a lane. From now on it counts there. */
  notePut(lane: string, bytes: number): void;
  /** The broker has answered to so many bytes of that. */
  noteAnswered(lane: string, bytes: number): void;
  /** What a message of a lane takes, of which the broker tells the number alone. */
  noteMessage(lane: string, bytes: number): void;
  /** Whether RUNNING takes records: what has none keeps its message for as long as its call takes. */
  takesRecords(): boolean;
}

const allButFull = 0.95;
// Beyond it targets are tried with what lies in a lane, which needs no record.
const recordsUpTo = 0.5;
// So long is counted on with what was told last. Then the broker itself has to say what is full.
const guessesUpTo = 10;
const maxKnownLanes = 20_000;

export function createLaneDirectory(
  broker: Broker,
  deps: {
    clock: Clock;
    log: Log;
    onWaiting: (waiting: Waiting) => void;
    /** Told when RUNNING was made. */
    onRunningStream: (created: string) => void;
    /** Told how much is in RETRY, of how much there may be. */
    onRetryBytes: (bytes: number, maxBytes: number) => void;
  },
): LaneDirectory {
  const { clock, log } = deps;
  const stopping = new AbortController();
  const patience = createPatience(clock);
  let atomic = false;
  let started = false;
  /** What is in each lane, and in all of them, as far as is known: what was put there since the broker told is counted too. */
  let bytesIn = new Map<string, number>();
  let stored = 0;
  let limit = Number.POSITIVE_INFINITY;
  /** Lanes that have more than their share of a stream that is nearly full; undefined while it is not. */
  let crowded: ReadonlySet<string> | undefined;
  let records = true;
  /** By lane, what its messages take on average: the broker counts them only. */
  const messageBytes = new Map<string, number>();
  /** On the way to each lane: what the broker tells need not have it. */
  const unanswered = new Map<string, number>();

  const count = (lane: string, bytes: number) => {
    bytesIn.set(lane, (bytesIn.get(lane) ?? 0) + bytes);
    stored += bytes;
  };
  const isFull = () => stored > limit * allButFull;
  const ask = async () => {
    const options = { subjects_filter: ">" };
    const [lanes, running, retry] = await askBroker(broker, () =>
      patience.within(
        Promise.all([
          broker.jsm.streams.info(streams.lanes, options),
          broker.jsm.streams.info(streams.running, options),
          broker.jsm.streams.info(streams.retry),
        ]),
      ),
    );
    deps.onRunningStream(running.created);
    deps.onRetryBytes(retry.state.bytes, retry.config.max_bytes);
    atomic = allowsAtomicBatches(lanes.config);
    const messages = bySubject(lanes);
    bytesIn = bytesOf(messages, messageBytes);
    stored = lanes.state.bytes;
    limit = limitOf(lanes);
    for (const [lane, bytes] of unanswered) count(lane, bytes);
    crowded = stored > limit * nearlyFull ? crowdedOf(bytesIn) : undefined;
    // Where neither takes anything a call is better made than given up.
    records = isFull() || running.state.bytes < limitOf(running) * recordsUpTo;
    if (!stopping.signal.aborted) deps.onWaiting({ lanes: messages, runs: bySubject(running) });
  };

  const forget = () => {
    bytesIn.clear();
    stored = 0;
    limit = Number.POSITIVE_INFINITY;
    crowded = undefined;
    deps.onRetryBytes(0, 0);
  };

  return {
    atomic: () => atomic,
    mayFill: (origin, kind) => !isFull() && !crowded?.has(laneOf(origin, kind)),
    noteMessage(lane, bytes) {
      if (messageBytes.size >= maxKnownLanes) messageBytes.clear();
      const known = messageBytes.get(lane) ?? bytes;
      messageBytes.set(lane, (known + bytes) / 2);
    },
    notePut(lane, bytes) {
      unanswered.set(lane, (unanswered.get(lane) ?? 0) + bytes);
      count(lane, bytes);
      // One that is filled within a second is not found when it is full.
      if (stored > limit * nearlyFull) crowded ??= crowdedOf(bytesIn);
    },
    noteAnswered(lane, bytes) {
      const left = (unanswered.get(lane) ?? 0) - bytes;
      if (left > 0) unanswered.set(lane, left);
      else unanswered.delete(lane);
    },
    takesRecords: () => records,
    async start() {
      if (started) return;
      started = true;
      const asked = Promise.withResolvers<void>();
      void (async () => {
        let failures = 0;
        while (!stopping.signal.aborted) {
          if (broker.connected()) {
            const error: unknown = await ask().then(
              () => undefined,
              (reason) => reason,
            );
            asked.resolve();
            // Asked again in a second: said once.
            if (error !== undefined && failures === 0) log.warn({ event: "lanes_not_listed", err: error });
            // One of them may be gone.
            if (error !== undefined && broker.connected()) await broker.ensure();
            failures = error === undefined ? 0 : failures + 1;
            if (failures === guessesUpTo) forget();
          }
          asked.resolve();
          // The answer is long where there are many lanes.
          await sleep(clock, untilSecondMiddleMs(clock.nowMs()), stopping.signal);
        }
        asked.resolve();
      })();
      await asked.promise;
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

/** The most bytes that a stream takes. */
function limitOf({ config }: StreamInfo): number {
  return config.max_bytes > 0 ? config.max_bytes : Number.POSITIVE_INFINITY;
}

/** What is in each lane; of one of whose messages nothing is known they are like the others. */
function bytesOf(
  messages: ReadonlyMap<string, number>,
  messageBytes: ReadonlyMap<string, number>,
): Map<string, number> {
  const known = [...messageBytes.values()];
  const usual = known.reduce((sum, one) => sum + one, 0) / Math.max(known.length, 1) || 1;
  return new Map([...messages].map(([lane, count]) => [lane, count * (messageBytes.get(lane) ?? usual)]));
}
