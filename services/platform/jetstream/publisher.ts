import { headers as createHeaders, createInbox, type Msg, type Subscription } from "nats";
import type { Clock } from "../process/clock.ts";
import type { Startable } from "../process/lifecycle.ts";
import type { Log } from "../process/log.ts";
import type { Broker } from "./broker.ts";

/** What became of a published message. A refusal is the broker's answer, and final. */
export type PublishOutcome =
  | { kind: "stored"; sequence: number; duplicate: boolean }
  | { kind: "refused"; code: number; description: string }
  | { kind: "abandoned" };

export interface PublishOptions {
  /** Repeated publishes with one id are stored once, within the stream's dedupe window. */
  messageId?: string;
  /** The broker removes it after this span; one before 2.11 keeps it. */
  ttlSeconds?: number;
  /** Compare-and-set: stored only if this is the subject's last sequence; 0 means that there must be none. */
  expectLastSubjectSequence?: number;
}

/**
 * Publishes with a window of outstanding acknowledgements over one shared
 * inbox: 6 µs of client CPU a message, against 45 µs of js.publish.
 *
 * A message without an acknowledgement is sent again, with the same id, until
 * the broker answers or the publisher stops: only then is it "abandoned".
 */
export interface Publisher extends Startable {
  publish(subject: string, payload: Uint8Array, options?: PublishOptions): Promise<PublishOutcome>;
  /**
   * Stores all of them or none, in order and under successive sequences; the
   * outcome's is the last one's. Up to 1,000, to a stream with `allow_atomic`
   * (NATS ADR-50). One message id that is known already makes the broker refuse
   * them all; one that does not know batches is told as a refusal too, though it
   * may have stored them.
   */
  publishAtomic(messages: readonly BatchMessage[]): Promise<PublishOutcome>;
  /** Sent and not yet answered, and waiting for a place in the window. */
  pending(): number;
}

export interface PublisherOptions {
  /** Messages that may be without an acknowledgement at once. */
  window?: number;
  /** How long to wait for one before the message is sent again. */
  ackTimeoutMs?: number;
}

export interface BatchMessage {
  subject: string;
  payload: Uint8Array;
  messageId: string;
  ttlSeconds?: number;
}

interface Outstanding {
  /** For the log. */
  subject: string;
  /** Hands it to the connection, for the broker to answer to this subject. */
  write: (reply: string) => void;
  batch: boolean;
  token: string;
  sentAtMs: number;
  resolve: (outcome: PublishOutcome) => void;
}

interface AckBody {
  stream?: string;
  seq?: number;
  duplicate?: boolean;
  /** The id of the batch that this answer ends. */
  batch?: string;
  error?: { code: number; err_code?: number; description: string };
}

const defaultWindow = 512;
const defaultAckTimeoutMs = 5_000;
const resendCheckMs = 250;
// JetStream answers that pass by themselves: no leader yet, no memory, storage catching up.
const passingErrorCodes: ReadonlySet<number> = new Set([10_008, 10_009, 10_023, 10_028, 10_077, 10_118]);
const decoder = new TextDecoder();

export function createPublisher(
  broker: Broker,
  deps: { clock: Clock; log: Log },
  options: PublisherOptions = {},
): Publisher {
  const { clock, log } = deps;
  const window = options.window ?? defaultWindow;
  const ackTimeoutMs = options.ackTimeoutMs ?? defaultAckTimeoutMs;
  const outstanding = new Map<string, Outstanding>();
  const waiting: Outstanding[] = [];
  let subscription: Subscription | undefined;
  let inbox = "";
  let nextToken = 0;
  let nextBatch = 0;
  let cancelCheck: (() => void) | undefined;
  let endReconnect: (() => void) | undefined;
  let stopped = false;

  const writeOne = (subject: string, payload: Uint8Array, options: PublishOptions, reply: string) => {
    const { messageId, ttlSeconds, expectLastSubjectSequence } = options;
    if (messageId === undefined && ttlSeconds === undefined && expectLastSubjectSequence === undefined) {
      broker.nc.publish(subject, payload, { reply });
      return;
    }
    const head = createHeaders();
    if (messageId !== undefined) head.set("Nats-Msg-Id", messageId);
    if (ttlSeconds !== undefined) head.set("Nats-TTL", String(ttlSeconds));
    if (expectLastSubjectSequence !== undefined) {
      head.set("Nats-Expected-Last-Subject-Sequence", String(expectLastSubjectSequence));
    }
    broker.nc.publish(subject, payload, { reply, headers: head });
  };

  const writeBatch = (messages: readonly BatchMessage[], reply: string) => {
    // A new id each time it is sent: what arrived of the time before is no part of it.
    const batchId = `${inbox.slice(-12)}${(nextBatch++).toString(36)}`;
    for (const [index, { subject, payload, messageId, ttlSeconds }] of messages.entries()) {
      const head = createHeaders();
      head.set("Nats-Batch-Id", batchId);
      head.set("Nats-Batch-Sequence", String(index + 1));
      head.set("Nats-Msg-Id", messageId);
      if (ttlSeconds !== undefined) head.set("Nats-TTL", String(ttlSeconds));
      const isLast = index === messages.length - 1;
      if (isLast) head.set("Nats-Batch-Commit", "1");
      broker.nc.publish(subject, payload, { headers: head, ...(isLast && { reply }) });
    }
  };

  const send = (message: Outstanding) => {
    message.sentAtMs = clock.monotonicMs();
    message.write(inbox + message.token);
  };

  const enqueue = (subject: string, batch: boolean, write: Outstanding["write"]): Promise<PublishOutcome> => {
    if (stopped) return Promise.resolve({ kind: "abandoned" });
    return new Promise((resolve) => {
      const token = (nextToken++).toString(36);
      const message: Outstanding = { subject, write, batch, token, sentAtMs: 0, resolve };
      if (outstanding.size >= window) {
        waiting.push(message);
        return;
      }
      outstanding.set(token, message);
      send(message);
    });
  };

  const settle = (message: Outstanding, outcome: PublishOutcome) => {
    outstanding.delete(message.token);
    message.resolve(outcome);
    const next = waiting.shift();
    if (next) {
      outstanding.set(next.token, next);
      send(next);
    }
  };

  const onAck = (error: Error | null, ack: Msg) => {
    if (error) return;
    const message = outstanding.get(ack.subject.slice(inbox.length));
    if (!message) return;
    // An empty answer is the broker's "no responders": no stream has the
    // subject, or JetStream is not up yet. Left alone it is sent again later.
    if (ack.data.length === 0) return;
    const body: AckBody = JSON.parse(decoder.decode(ack.data));
    if (!body.error && message.batch && body.batch === undefined) {
      settle(message, { kind: "refused", code: 0, description: "the broker does not know atomic batches" });
      return;
    }
    if (!body.error) {
      settle(message, { kind: "stored", sequence: body.seq ?? 0, duplicate: body.duplicate === true });
      return;
    }
    const code = body.error.err_code ?? body.error.code;
    if (passingErrorCodes.has(code) || body.error.code === 503) {
      log.warn({ event: "publish_deferred", subject: message.subject, code, description: body.error.description });
      return;
    }
    settle(message, { kind: "refused", code, description: body.error.description });
  };

  const resendAll = (olderThanMs: number) => {
    if (!broker.connected()) return;
    const now = clock.monotonicMs();
    for (const message of outstanding.values()) if (now - message.sentAtMs >= olderThanMs) send(message);
  };

  const scheduleCheck = () => {
    cancelCheck = clock.after(resendCheckMs, () => {
      resendAll(ackTimeoutMs);
      scheduleCheck();
    });
  };

  return {
    pending: () => outstanding.size + waiting.length,
    publish: (subject, payload, publishOptions = {}) =>
      enqueue(subject, false, (reply) => writeOne(subject, payload, publishOptions, reply)),
    publishAtomic: (messages) => enqueue(messages[0]?.subject ?? "", true, (reply) => writeBatch(messages, reply)),
    async start() {
      if (subscription) return;
      inbox = `${createInbox()}.`;
      subscription = broker.nc.subscribe(`${inbox}*`, { callback: onAck });
      // Acknowledgements of the lost connection will never come.
      endReconnect = broker.onReconnect(() => resendAll(0));
      scheduleCheck();
    },
    async stop() {
      if (stopped) return;
      stopped = true;
      cancelCheck?.();
      endReconnect?.();
      for (const message of [...outstanding.values(), ...waiting.splice(0)]) message.resolve({ kind: "abandoned" });
      outstanding.clear();
      if (!broker.nc.isClosed()) subscription?.unsubscribe();
    },
  };
}
