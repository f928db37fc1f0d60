import {
  AckPolicy,
  type ConsumerMessages,
  DeliverPolicy,
  type JsMsg,
  NatsError,
  nanos,
  ReplayPolicy,
  type StreamInfo,
} from "nats";
import { type Clock, sleep } from "../process/clock.ts";
import type { Startable } from "../process/lifecycle.ts";
import type { Log } from "../process/log.ts";
import { askBroker } from "./ask-broker.ts";
import type { Broker } from "./broker.ts";
import { createPatience } from "./patience.ts";

/** How far somebody has read: up to a sequence of one certain stream. */
export interface FollowerPlace {
  /** When that stream was made, in the broker's words. */
  stream: string;
  sequence: number;
}

export interface FollowerOptions {
  stream: string;
  subjects: string[];
  /** Where to go on, from an earlier run. A stream that was made later than that one counts as a replacement. */
  place?: FollowerPlace | undefined;
  /** "state": the last message of each subject, then all changes. "new": changes only. */
  from: "state" | "new";
  /** Called for each message, in stream order, none missed and none twice. It must not throw. */
  onMessage: (message: JsMsg) => void;
  /** Called when everything that the stream held at the start has been handed over; once for each stream. */
  onCaughtUp?: () => void;
  /**
   * Called before the first message of a stream, with the broker's word on when it was made, also as it stands in a
   * place; not for the stream of the place that was given.
   */
  onStream?: (createdMs: number, stream: string) => void;
  /**
   * The stream is another one than before: it was deleted, or lost with the
   * broker's disk, and made anew. Its sequences begin again; what follows is all
   * that it holds, then its changes. Called before `onStream`.
   */
  onReset?: () => void;
}

const retryDelayMs = 250;
const inactiveThresholdMs = 30_000;
// The defaults (30 s) let consume() stall that long after a broker failover.
const pullExpiresMs = 2_000;
const pullHeartbeatMs = 500;
// Missed heartbeats in a row after which a pull is taken for dead.
const heartbeatsMissed = 4;
const streamNotFound = 10_059;
const consumerNotFound = 10_014;

/**
 * Reads a stream without acknowledgements, and keeps its place over broker
 * restarts. The place is a sequence of one certain stream: a stream of the same
 * name that was made later is read from its beginning.
 */
export function createFollower(broker: Broker, deps: { clock: Clock; log: Log }, options: FollowerOptions): Startable {
  const { clock, log } = deps;
  const stopping = new AbortController();
  const patience = createPatience(clock);
  /** The sequence up to which everything was handed over; 0 before the first. */
  let seen = options.place?.sequence ?? 0;
  let created = options.place?.stream;
  /** This stream was read from; before that there is no place to go on from. */
  let placed = options.place !== undefined;
  /** In a stream that replaces another everything is news, from its first message on. */
  let replaced = false;
  let caughtUp = false;
  let messages: ConsumerMessages | undefined;
  let loop: Promise<void> | undefined;

  const markCaughtUp = () => {
    if (caughtUp) return;
    caughtUp = true;
    options.onCaughtUp?.();
  };

  /** Whether the stream is still the one that the place is in. Goes over to the new one when it is not. */
  const recognise = (stream: StreamInfo): boolean => {
    const first = created === undefined;
    // The creation tells; an end before the place means that the broker was set back to an older state.
    if (stream.created === created && stream.state.last_seq >= seen) return true;
    created = stream.created;
    if (!first) {
      log.warn({ event: "stream_replaced", stream: options.stream, created, messages: stream.state.messages });
      seen = 0;
      placed = false;
      replaced = true;
      caughtUp = false;
      options.onReset?.();
    }
    options.onStream?.(Date.parse(created), created);
    return false;
  };

  const startingPlace = () => {
    if (placed) return { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: seen + 1 };
    if (options.from === "state") return { deliver_policy: DeliverPolicy.LastPerSubject };
    return { deliver_policy: replaced ? DeliverPolicy.All : DeliverPolicy.New };
  };

  const addConsumer = () =>
    patience.within(
      broker.jsm.consumers.add(options.stream, {
        ...startingPlace(),
        filter_subjects: options.subjects,
        ack_policy: AckPolicy.None,
        replay_policy: ReplayPolicy.Instant,
        inactive_threshold: nanos(inactiveThresholdMs),
        mem_storage: true,
        num_replicas: 1,
      }),
    );
  const lookAtStream = () => patience.within(broker.jsm.streams.info(options.stream));

  const removeConsumer = async (name: string) => {
    if (!broker.nc.isClosed()) await broker.jsm.consumers.delete(options.stream, name).catch(() => undefined);
  };

  /** Makes a consumer, then looks at the stream: only after that is it certain which stream the consumer reads. */
  const attach = async () => {
    if (created === undefined) recognise(await lookAtStream());
    for (;;) {
      const consumer = await addConsumer();
      const stream = await lookAtStream();
      if (recognise(stream)) return { consumer, stream };
      await removeConsumer(consumer.name);
    }
  };

  /** Follows until the consumer is lost in any way; the caller makes another from the same place. */
  const follow = async () => {
    const { consumer: info, stream } = await askBroker(broker, attach);
    if (!placed && !replaced && options.from === "new") {
      // What comes after this moment counts, also when the first consumer is lost before its first message.
      seen = info.num_pending === 0 ? stream.state.last_seq : stream.state.last_seq - info.num_pending;
      placed = true;
    }
    if (info.num_pending === 0) {
      placed = true;
      markCaughtUp();
    }
    const consumer = await askBroker(broker, () => patience.within(broker.js.consumers.get(options.stream, info.name)));
    let delivered = 0;
    let broken = false;
    const lost = (reason: string) => {
      if (broken) return;
      broken = true;
      if (!stopping.signal.aborted) log.info({ event: "follower_restarted", stream: options.stream, reason });
      void messages?.close();
    };
    messages = await consumer.consume({
      max_messages: 1_000,
      expires: pullExpiresMs,
      idle_heartbeat: pullHeartbeatMs,
      callback: (message) => {
        if (broken || stopping.signal.aborted) return;
        const { deliverySequence, streamSequence, pending } = message.info;
        // Without acknowledgements a message that was lost on the way shows as a gap.
        if (deliverySequence !== delivered + 1) return lost("gap");
        delivered = deliverySequence;
        placed = true;
        if (streamSequence <= seen) return;
        seen = streamSequence;
        options.onMessage(message);
        if (pending === 0) markCaughtUp();
      },
    });
    const endReconnect = broker.onReconnect(() => lost("reconnected"));
    const current = messages;
    void watchPull(current, lost);
    if (stopping.signal.aborted) void current.close();
    await current.closed();
    endReconnect();
    // Not waited for: a broker that dies meanwhile would hold up the next one until the request times out.
    void removeConsumer(info.name);
  };

  return {
    async start() {
      loop ??= (async () => {
        while (!stopping.signal.aborted) {
          await follow().catch(async (error) => {
            if (stopping.signal.aborted) return;
            log.warn({ event: "follower_failed", stream: options.stream, err: error });
            if (isMissing(error)) await broker.ensure();
          });
          if (!stopping.signal.aborted) await sleep(clock, retryDelayMs, stopping.signal);
        }
      })();
    },
    async stop() {
      if (stopping.signal.aborted) return;
      stopping.abort();
      await Promise.race([messages?.close(), sleep(clock, 500)]);
      await Promise.race([loop, sleep(clock, 500)]);
    },
  };
}

/** Tells when a pull gets no answers any more: its consumer or stream is gone, or its requests came to nothing. */
async function watchPull(messages: ConsumerMessages, lost: (reason: string) => void): Promise<void> {
  for await (const { type, data } of await messages.status()) {
    if (type === "heartbeats_missed" && Number(data) >= heartbeatsMissed) lost(type);
    if (/^(consumer_not_found|consumer_deleted|stream_not_found)$/.test(type)) lost(type);
  }
}

/** Whether the broker says that the stream or consumer is not there. */
function isMissing(error: unknown): boolean {
  const code = error instanceof NatsError ? error.api_error?.err_code : undefined;
  return code === streamNotFound || code === consumerNotFound;
}
