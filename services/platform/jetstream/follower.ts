import { AckPolicy, type ConsumerMessages, DeliverPolicy, type JsMsg, nanos, ReplayPolicy } from "nats";
import { type Clock, sleep } from "../clock.ts";
import type { Startable } from "../lifecycle.ts";
import type { Log } from "../log.ts";
import type { Broker } from "./connection.ts";
import { pullExpiresMs, pullHeartbeatMs } from "./consumer.ts";

export interface FollowerOptions {
  stream: string;
  subjects: string[];
  /** "state": the last message of each subject, then all changes. "new": changes only. */
  from: "state" | "new";
  /** Called for each message, in stream order, none missed and none twice. It must not throw. */
  onMessage: (message: JsMsg) => void;
  /** Called once, when everything that the stream held at the start has been handed over. */
  onCaughtUp?: () => void;
}

/** Reads a stream from a position on, without acknowledgements, and keeps its place over broker restarts. */
export interface Follower extends Startable {
  /** The stream sequence up to which this follower has seen everything; 0 before the first. */
  sequence(): number;
}

const retryDelayMs = 250;
const inactiveThresholdMs = 30_000;
// Missed heartbeats in a row, of 500 ms each, after which the consumer is made anew.
const heartbeatsMissed = 4;

export function createFollower(broker: Broker, deps: { clock: Clock; log: Log }, options: FollowerOptions): Follower {
  const { clock, log } = deps;
  const stopping = new AbortController();
  let seen = 0;
  let caughtUp = false;
  let started = false;
  let messages: ConsumerMessages | undefined;
  let loop: Promise<void> | undefined;

  const markCaughtUp = () => {
    if (caughtUp) return;
    caughtUp = true;
    options.onCaughtUp?.();
  };

  /** Follows until the consumer is lost in any way; the caller makes another from the same place. */
  const follow = async () => {
    const place = started
      ? { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: seen + 1 }
      : { deliver_policy: options.from === "state" ? DeliverPolicy.LastPerSubject : DeliverPolicy.New };
    const info = await broker.jsm.consumers.add(options.stream, {
      ...place,
      filter_subjects: options.subjects,
      ack_policy: AckPolicy.None,
      replay_policy: ReplayPolicy.Instant,
      inactive_threshold: nanos(inactiveThresholdMs),
      mem_storage: true,
      num_replicas: 1,
    });
    if (!started && options.from === "new") {
      // What comes after this moment counts, also when the first consumer is lost before its first message.
      const stream = await broker.jsm.streams.info(options.stream);
      seen = Math.max(seen, info.num_pending === 0 ? stream.state.last_seq : stream.state.last_seq - info.num_pending);
    }
    started = started || options.from === "new";
    if (info.num_pending === 0) {
      started = true;
      markCaughtUp();
    }
    const consumer = await broker.js.consumers.get(options.stream, info.name);
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
        started = true;
        if (streamSequence <= seen) return;
        seen = streamSequence;
        options.onMessage(message);
        if (pending === 0) markCaughtUp();
      },
    });
    const endReconnect = broker.onReconnect(() => lost("reconnected"));
    const current = messages;
    void (async () => {
      for await (const status of await current.status()) {
        if (status.type === "heartbeats_missed" && Number(status.data) >= heartbeatsMissed) lost(status.type);
        if (/^(consumer_not_found|consumer_deleted|stream_not_found)$/.test(status.type)) lost(status.type);
      }
    })();
    if (stopping.signal.aborted) void current.close();
    await current.closed();
    endReconnect();
    if (!broker.nc.isClosed()) await broker.jsm.consumers.delete(options.stream, info.name).catch(() => undefined);
  };

  return {
    sequence: () => seen,
    async start() {
      loop ??= (async () => {
        while (!stopping.signal.aborted) {
          await follow().catch((error) => {
            if (!stopping.signal.aborted) log.warn({ event: "follower_failed", stream: options.stream, err: error });
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
