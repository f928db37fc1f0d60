import { type ConsumerMessages, type JsMsg, NatsError, type Subscription } from "nats";
import { type Clock, sleep } from "../process/clock.ts";
import type { Startable } from "../process/lifecycle.ts";
import type { Log } from "../process/log.ts";
import { askBroker } from "./ask-broker.ts";
import type { Broker } from "./broker.ts";

// The defaults (30 s) let consume() stall that long after a broker failover.
export const pullExpiresMs = 2_000;
export const pullHeartbeatMs = 500;
const retryDelayMs = 250;
const farewellMs = 500;
// Missed heartbeats in a row, of 500 ms each, after which a pull is taken for dead.
const heartbeatsMissed = 4;
const streamNotFound = 10_059;
const consumerNotFound = 10_014;

export interface ConsumerLoopOptions {
  stream: string;
  /** The durable consumer's name (see wire/streams.ts). Where it is gone, `broker.ensure()` is to make it anew. */
  durable: string;
  /** How many messages may be buffered in this process. */
  maxMessages: number;
  /** Called for each message, in order. Whoever gets it answers it: ack, nak or working. It must not throw. */
  onMessage: (message: JsMsg) => void;
}

/**
 * Pulls from a durable consumer and hands each message to a callback (4.6 µs,
 * against 12 µs with the iterator). Survives the loss of the broker, and that of
 * the consumer or its stream: the client itself would go on asking for them in silence.
 */
export function createConsumerLoop(
  broker: Broker,
  deps: { clock: Clock; log: Log },
  options: ConsumerLoopOptions,
): Startable {
  const { clock, log } = deps;
  const stopping = new AbortController();
  let messages: ConsumerMessages | undefined;
  let loop: Promise<void> | undefined;

  const consume = async () => {
    const consumer = await askBroker(broker, () => broker.js.consumers.get(options.stream, options.durable));
    // What the broker sent now would be dropped, and come again only after the ack wait.
    if (stopping.signal.aborted) return;
    messages = await consumer.consume({
      max_messages: options.maxMessages,
      expires: pullExpiresMs,
      idle_heartbeat: pullHeartbeatMs,
      callback: options.onMessage,
    });
    const current = messages;
    void watchPull(current, (reason) => {
      if (stopping.signal.aborted) return;
      log.warn({ event: "consumer_lost", stream: options.stream, durable: options.durable, reason });
      void current.close();
    });
    if (stopping.signal.aborted) await current.close();
    else await current.closed();
  };

  return {
    async start() {
      loop ??= (async () => {
        while (!stopping.signal.aborted) {
          const error: unknown = await consume().catch((reason) => reason);
          if (stopping.signal.aborted) return;
          log.warn({ event: "consumer_restarted", stream: options.stream, durable: options.durable, err: error });
          if (isMissing(error)) await broker.ensure();
          await sleep(clock, retryDelayMs, stopping.signal);
        }
      })();
    },
    /** Asks for no further messages. Those that are on their way are handed over, and are the callback's business. */
    async stop() {
      if (stopping.signal.aborted) return;
      stopping.abort();
      // A broker that is away never confirms the end of the pull.
      await Promise.race([messages && drainPull(messages), sleep(clock, farewellMs)]);
      void messages?.close();
      await Promise.race([loop, sleep(clock, farewellMs)]);
    },
  };
}

/**
 * Ends a pull, and hands over what is on its way first. The client's own close()
 * drops that, and nobody else gets it before the ack wait has passed. Draining the
 * pull's subscription does not; the client has no public name for it.
 */
async function drainPull(messages: ConsumerMessages): Promise<void> {
  const { sub } = messages as ConsumerMessages & { sub?: Subscription };
  // Rejects when it is over already.
  await sub?.drain().catch(() => undefined);
}

/** Tells when a pull gets no answers any more: its consumer or stream is gone, or its requests came to nothing. */
export async function watchPull(messages: ConsumerMessages, lost: (reason: string) => void): Promise<void> {
  for await (const { type, data } of await messages.status()) {
    if (type === "heartbeats_missed" && Number(data) >= heartbeatsMissed) lost(type);
    if (/^(consumer_not_found|consumer_deleted|stream_not_found)$/.test(type)) lost(type);
  }
}

/** Whether the broker says that the stream or consumer is not there. */
export function isMissing(error: unknown): boolean {
  const code = error instanceof NatsError ? error.api_error?.err_code : undefined;
  return code === streamNotFound || code === consumerNotFound;
}
