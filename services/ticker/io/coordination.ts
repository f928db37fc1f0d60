import { askBroker } from "../../platform/jetstream/ask-broker.ts";
import type { Broker } from "../../platform/jetstream/broker.ts";
import { createFollower } from "../../platform/jetstream/follower.ts";
import { lastMessage } from "../../platform/jetstream/last-message.ts";
import { createPatience } from "../../platform/jetstream/patience.ts";
import { removeUpTo } from "../../platform/jetstream/remove-stored.ts";
import { type Clock, sleep } from "../../platform/process/clock.ts";
import type { Startable } from "../../platform/process/lifecycle.ts";
import type { Log } from "../../platform/process/log.ts";
import { type PartitionClaim, readPartitionClaim } from "../../wire/partition-claim.ts";
import { streams } from "../../wire/streams.ts";
import { partitionOfSubject, subjects } from "../../wire/subjects.ts";
import { readTick, type Tick } from "../../wire/tick.ts";

export interface StoredClaim {
  partition: number;
  claim: PartitionClaim | undefined;
  revision: number;
}

export interface CoordinationOptions {
  onClaim: (stored: StoredClaim) => void;
  /** The claims are in another stream from here on. */
  onClaimsReset: () => void;
  /** All claims that were there at the start, or are in the stream that replaced theirs, were handed over. */
  onClaimsComplete: () => void;
  onTick: (tick: Tick, sequence: number) => void;
  onTicksReset: () => void;
  /** The last tick of each ticker was handed over. */
  onTicksComplete: () => void;
}

/** `last`: undefined when the stream has none of it. */
export interface LastTick {
  last: { tick: Tick; sequence: number } | undefined;
}

/** What tickers tell each other: claims and ticks, as they are stored. */
export interface Coordination extends Startable {
  /** Asks the stream's leader until it answers; undefined only when this ticker stops. */
  readClaims(partitions: readonly number[]): Promise<StoredClaim[] | undefined>;
  readLastTick(ticker: string): Promise<LastTick | undefined>;
  /** Removes the ticks of a ticker up to this sequence, and reads its last one then. */
  forgetTicks(ticker: string, sequence: number): Promise<LastTick | undefined>;
}

const retryMs = 250;

export function createCoordination(
  broker: Broker,
  deps: { clock: Clock; log: Log },
  options: CoordinationOptions,
): Coordination {
  const { clock, log } = deps;
  const stopping = new AbortController();

  /** A message that cannot be read is as good as none: it must not stop the ticker. */
  const readable = <T>(subject: string, read: () => T): T | undefined => {
    try {
      return read();
    } catch (error) {
      log.error({ event: "coordination_message_invalid", subject, err: error });
      return undefined;
    }
  };
  const claimFollower = createFollower(broker, deps, {
    stream: streams.claims,
    subjects: [subjects.claims],
    from: "state",
    onMessage: ({ subject, data, seq }) => {
      const claim = readable(subject, () => readPartitionClaim(data));
      options.onClaim({ partition: partitionOfSubject(subject), claim, revision: seq });
    },
    onCaughtUp: options.onClaimsComplete,
    onReset: options.onClaimsReset,
  });
  const tickFollower = createFollower(broker, deps, {
    stream: streams.ticks,
    subjects: [subjects.ticks],
    from: "state",
    onMessage: ({ subject, data, seq }) => {
      const tick = readable(subject, () => readTick(data));
      if (tick) options.onTick(tick, seq);
    },
    onCaughtUp: options.onTicksComplete,
    onReset: options.onTicksReset,
  });

  const patience = createPatience(clock);
  const untilAnswered = async <T>(ask: () => Promise<T>): Promise<T | undefined> => {
    while (!stopping.signal.aborted) {
      try {
        return await askBroker(broker, () => patience.within(ask()));
      } catch (error) {
        if (!stopping.signal.aborted) log.warn({ event: "coordination_read_failed", err: error });
        await sleep(clock, retryMs, stopping.signal);
      }
    }
    return undefined;
  };

  const readLastTick = (ticker: string): Promise<LastTick | undefined> =>
    untilAnswered(async () => {
      const subject = subjects.tick(ticker);
      const message = await lastMessage(broker, streams.ticks, subject);
      const tick = message && readable(subject, () => readTick(message.data));
      return { last: message && tick && { tick, sequence: message.seq } };
    });

  return {
    readClaims: (partitions) =>
      untilAnswered(() =>
        Promise.all(
          // Bounded: there are at most as many as there are partitions.
          partitions.map(async (partition) => {
            const subject = subjects.claim(partition);
            const message = await lastMessage(broker, streams.claims, subject);
            const claim = message && readable(subject, () => readPartitionClaim(message.data));
            return { partition, claim, revision: message?.seq ?? 0 };
          }),
        ),
      ),
    readLastTick,
    async forgetTicks(ticker, sequence) {
      const removed = await untilAnswered(async () => {
        await removeUpTo(broker, streams.ticks, subjects.tick(ticker), sequence);
        return true;
      });
      return removed ? readLastTick(ticker) : undefined;
    },
    async start() {
      await claimFollower.start();
      await tickFollower.start();
    },
    async stop() {
      stopping.abort();
      await Promise.all([claimFollower.stop(), tickFollower.stop()]);
    },
  };
}
