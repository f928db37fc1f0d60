import { headers as createHeaders, createInbox, type Msg, type Subscription } from "nats";
import type { Clock } from "../process/clock.ts";
import { inSeconds, troubledAfterMs } from "../process/conditions.ts";
import type { Startable } from "../process/lifecycle.ts";
import type { Log } from "../process/log.ts";
import type { Broker } from "./broker.ts";
import { Deferrals } from "./deferrals.ts";
import { type AckBody, duplicateInProcess, isFull, isPassing } from "./publish-answers.ts";

/** What became of a published message. A refusal is final: the broker's answer, or the connection's. */
export type PublishReport =
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
  /** When its stream has reached its limit the message is refused at once (`streamFull`), instead of waiting until there is room. */
  unlessFull?: boolean;
}

/**
 * Publishes with a window of outstanding acknowledgements over one shared
 * inbox: 6 µs of client CPU a message, against 45 µs of js.publish.
 *
 * A message without an acknowledgement is sent again, with the same id, until
 * the broker answers or the publisher stops: only then is it "abandoned". So is one
 * that its stream cannot take now: it keeps its place in the window, and once the
 * stream takes one again the others follow, the oldest first.
 */
export interface Publisher extends Startable {
  publish(subject: string, payload: Uint8Array, options?: PublishOptions): Promise<PublishReport>;
  /**
   * Stores all of them or none, in order and under successive sequences. The report
   * names the sequence of the last one. They may be up to 1,000, to a stream with
   * `allow_atomic` (NATS ADR-50). The broker refuses them all when it has stored a
   * message of one of their ids before. A broker that does not know batches counts
   * as refusing them too, though it may have stored them.
   */
  publishAtomic(messages: readonly BatchMessage[]): Promise<PublishReport>;
  /** Sent and not yet answered, and waiting for a place in the window. */
  pending(): number;
  /** Why nothing of what was published has been stored for a while, in words for operators. */
  trouble(): string | undefined;
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
  unlessFull: boolean;
  token: string;
  sentAtMs: number;
  resolve: (report: PublishReport) => void;
}

const defaultWindow = 512;
const defaultAckTimeoutMs = 5_000;
const resendCheckMs = 250;
// A stream that could not take something is asked with one message whether it can by now.
const probeEveryMs = 1_000;
// What was sent to a leader that is gone is answered by nobody, also not later. After so long without any answer one message
// finds out, again and again, when there is another one, and the others follow: all of them would be a burden to one that is slow.
const silentAfterMs = 1_000;
const askSilentEveryMs = 500;
// A stream that is full refuses whatever is sent to it, again and again: that is said once in a while.
const deferredLogMs = 10_000;
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
  /** When the broker stored something, or there was nothing to be stored. */
  let storedMs = clock.monotonicMs();
  let lastRefusal = "it does not answer";
  const deferred = new Deferrals<Outstanding>();
  let probedMs = Number.NEGATIVE_INFINITY;
  /** When one message was sent again for want of any answer; undefined: answers come. */
  let askedSilentMs: number | undefined;
  /** After such a silence: what was sent before the answer that ended it may be lost. */
  let answeredAgainMs: number | undefined;
  let deferrals = 0;
  let deferralsToldMs = Number.NEGATIVE_INFINITY;

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
    // A new id each time that it is sent. Under the old one the broker may hold a part of it already.
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
    try {
      message.write(inbox + message.token);
    } catch (error) {
      // The connection itself does not take it: it is larger than the broker allows.
      const description = error instanceof Error ? error.message : String(error);
      outstanding.delete(message.token);
      message.resolve({ kind: "refused", code: 0, description });
    }
  };

  /** Sends what waits, as far as there is room. */
  const fill = () => {
    while (outstanding.size < window) {
      const next = waiting.shift();
      if (!next) return;
      outstanding.set(next.token, next);
      send(next);
    }
  };

  const enqueue = (
    how: Pick<Outstanding, "subject" | "batch" | "unlessFull">,
    write: Outstanding["write"],
  ): Promise<PublishReport> => {
    if (stopped) return Promise.resolve({ kind: "abandoned" });
    if (outstanding.size === 0) storedMs = clock.monotonicMs();
    return new Promise((resolve) => {
      const token = (nextToken++).toString(36);
      waiting.push({ ...how, write, token, sentAtMs: 0, resolve });
      fill();
    });
  };

  const answered = (message: Outstanding, report: PublishReport) => {
    outstanding.delete(message.token);
    storedMs = clock.monotonicMs();
    if (askedSilentMs !== undefined) {
      askedSilentMs = undefined;
      answeredAgainMs = storedMs;
    }
    lastRefusal = "it does not answer";
    message.resolve(report);
    fill();
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
      answered(message, { kind: "refused", code: 0, description: "the broker does not know atomic batches" });
      return;
    }
    if (!body.error) {
      sendDeferred(deferred.taken(body.stream ?? ""));
      answered(message, { kind: "stored", sequence: body.seq ?? 0, duplicate: body.duplicate === true });
      return;
    }
    const { description } = body.error;
    const code = body.error.err_code ?? body.error.code;
    // Its own acknowledgement is on the way.
    if (code === duplicateInProcess) return;
    if (isPassing(code, body.error.code)) {
      if (!message.unlessFull || !isFull(code, description)) {
        lastRefusal = description;
        tellDeferral(message.subject, code, description);
        deferred.add(message, body.stream ?? "");
        return;
      }
      // Those that waited for another reason are told the same.
      sendDeferred(deferred.taken(body.stream ?? ""));
    }
    answered(message, { kind: "refused", code, description });
  };

  const tellDeferral = (subject: string, code: number, description: string) => {
    deferrals++;
    const nowMs = clock.monotonicMs();
    if (nowMs - deferralsToldMs < deferredLogMs) return;
    log.warn({ event: "publish_deferred", subject, code, description, times: deferrals });
    deferrals = 0;
    deferralsToldMs = nowMs;
  };

  /** An answer that came late may have settled it since. */
  const sendDeferred = (messages: readonly Outstanding[]) => {
    for (const message of messages) if (outstanding.has(message.token)) send(message);
  };

  const resendAll = () => {
    deferred.clear();
    for (const message of outstanding.values()) send(message);
    // A broker that came back may allow less than before.
    fill();
  };

  /** Batches wait for their own time: sent again they are refused where they were stored. */
  const mayBeLost = (message: Outstanding) => !message.batch && !deferred.has(message);

  const askSilent = (nowMs: number) => {
    if (outstanding.size === 0 || nowMs - storedMs < silentAfterMs) return;
    if (askedSilentMs !== undefined && nowMs - askedSilentMs < askSilentEveryMs) return;
    for (const message of outstanding.values()) {
      if (!mayBeLost(message)) continue;
      if (nowMs - message.sentAtMs < askSilentEveryMs) return;
      askedSilentMs = nowMs;
      send(message);
      return;
    }
  };

  const check = () => {
    if (!broker.connected()) return;
    const nowMs = clock.monotonicMs();
    // A moment later: what was only slow is answered by then.
    const lostBeforeMs =
      answeredAgainMs !== undefined && nowMs - answeredAgainMs >= resendCheckMs
        ? answeredAgainMs
        : Number.NEGATIVE_INFINITY;
    if (lostBeforeMs > 0) answeredAgainMs = undefined;
    for (const message of outstanding.values()) {
      const lost = message.sentAtMs <= lostBeforeMs && mayBeLost(message);
      if (lost || (nowMs - message.sentAtMs >= ackTimeoutMs && !deferred.has(message))) send(message);
    }
    askSilent(nowMs);
    if (nowMs - probedMs >= Math.min(probeEveryMs, ackTimeoutMs)) {
      probedMs = nowMs;
      sendDeferred(deferred.probes());
    }
    fill();
  };

  const scheduleCheck = () => {
    cancelCheck = clock.after(resendCheckMs, () => {
      check();
      scheduleCheck();
    });
  };

  return {
    pending: () => outstanding.size + waiting.length,
    trouble() {
      const unstoredMs = clock.monotonicMs() - storedMs;
      if (outstanding.size === 0 || unstoredMs <= troubledAfterMs) return undefined;
      return `the broker has stored nothing of what it was sent for ${inSeconds(unstoredMs)}: ${lastRefusal}`;
    },
    publish: (subject, payload, publishOptions = {}) =>
      enqueue({ subject, batch: false, unlessFull: publishOptions.unlessFull === true }, (reply) =>
        writeOne(subject, payload, publishOptions, reply),
      ),
    publishAtomic: (messages) =>
      enqueue({ subject: messages[0]?.subject ?? "", batch: true, unlessFull: false }, (reply) =>
        writeBatch(messages, reply),
      ),
    async start() {
      if (subscription) return;
      inbox = `${createInbox()}.`;
      subscription = broker.nc.subscribe(`${inbox}*`, { callback: onAck });
      // Acknowledgements of the lost connection will never come.
      endReconnect = broker.onReconnect(resendAll);
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
