import { createInbox, type Msg, nanos, type Subscription } from "nats";
import type { Clock } from "../process/clock.ts";
import { inSeconds, troubledAfterMs } from "../process/conditions.ts";
import type { Startable } from "../process/lifecycle.ts";
import type { Log } from "../process/log.ts";
import type { Broker } from "./broker.ts";
import { WorkMessage } from "./work-message.ts";

export interface Room {
  messages: number;
  bytes: number;
}

export interface ConsumerLoopOptions {
  stream: string;
  /** The durable consumer's name (see wire/streams.ts). Where it is gone, `broker.ensure()` is to make it anew. */
  durable: string;
  /**
   * How much may come now. What was asked for and has not come yet is taken off it. Where there is no
   * room for a message of the largest size (1 MiB), nothing is asked for until there is.
   */
  room: () => Room;
  /** Called for each message, in order. Whoever gets it answers it: ack, nak or working. It must not throw. */
  onMessage: (message: WorkMessage) => void;
}

/** Asks for messages from its start on, and for none after its stop. */
export interface ConsumerLoop extends Startable {
  /** Why nothing has come for a while, not even the word that a pull goes on, which comes twice a second, though it may have been there, in words for operators. */
  trouble(): string | undefined;
}

// A pull lives for a second: so long a stop waits for what is on its way, at most.
const pullExpiresMs = 1_000;
const pullHeartbeatMs = 500;
// A pull of which nothing was heard by then was filled, or its end got lost.
const pullOverMs = pullExpiresMs + 500;
// How soon room that has come free is used.
const lookEveryMs = 50;
const retryDelayMs = 250;
const nobodyAnswers = 503;
const largestMessageBytes = 1024 * 1024;

/**
 * Pulls from a durable consumer, as much as there is room for, and hands each
 * message to a callback. What there is no room for stays with the broker, for
 * others. Survives the loss of the broker, of the consumer and of its stream.
 */
export function createConsumerLoop(
  broker: Broker,
  deps: { clock: Clock; log: Log },
  options: ConsumerLoopOptions,
): ConsumerLoop {
  const { clock, log } = deps;
  const { stream, durable } = options;
  const requestSubject = `$JS.API.CONSUMER.MSG.NEXT.${stream}.${durable}`;
  /** When those were sent that the broker has not ended, as far as is known. It says nothing of one that it has filled. */
  const pulls = new Map<string, number>();
  /**
   * What was asked for and has not come. Of all pulls together: a delivery does not say which one it is for, and the broker
   * serves them in turn.
   */
  let open: Room = { messages: 0, bytes: 0 };
  let subscription: Subscription | undefined;
  let inbox = "";
  let nextPull = 0;
  let notBeforeMs = 0;
  /** When something came from the broker, and when there was room last. */
  let heardMs = clock.monotonicMs();
  let roomyMs = heardMs;
  let ensuring = false;
  let stopping = false;
  let drained: (() => void) | undefined;
  let cancelLook: (() => void) | undefined;
  let endReconnect: (() => void) | undefined;

  /** Asks for more once half of what there is room for is no longer asked for. */
  const ask = () => {
    if (stopping || !subscription || !broker.connected() || clock.monotonicMs() < notBeforeMs) return;
    const room = options.room();
    const messages = room.messages - open.messages;
    const bytes = room.bytes - open.bytes;
    if (hasRoom(room)) roomyMs = clock.monotonicMs();
    if (messages <= 0 || messages * 2 < room.messages || bytes < largestMessageBytes) return;
    const token = (nextPull++).toString(36);
    pulls.set(token, clock.monotonicMs());
    open = { messages: open.messages + messages, bytes: open.bytes + bytes };
    const request = {
      batch: messages,
      max_bytes: bytes,
      expires: nanos(pullExpiresMs),
      idle_heartbeat: nanos(pullHeartbeatMs),
    };
    broker.nc.publish(requestSubject, JSON.stringify(request), { reply: inbox + token });
  };

  const forgetAll = () => {
    pulls.clear();
    open = { messages: 0, bytes: 0 };
    drained?.();
  };

  const end = (token: string, left: Room) => {
    if (!pulls.delete(token)) return;
    open = { messages: open.messages - left.messages, bytes: open.bytes - left.bytes };
    if (pulls.size === 0) forgetAll();
    ask();
  };

  const lost = (reason: string) => {
    forgetAll();
    notBeforeMs = clock.monotonicMs() + retryDelayMs;
    // It is asked on meanwhile: in a cluster it may be back long before somebody answers for the streams.
    if (ensuring || stopping) return;
    log.warn({ event: "consumer_lost", stream, durable, reason });
    ensuring = true;
    void broker.ensure().finally(() => {
      ensuring = false;
      ask();
    });
  };

  /** What is no message: the end of a pull, a sign of life, or that its consumer is gone. */
  const onStatus = (message: Msg, code: number) => {
    const { headers } = message;
    const description = headers?.description ?? "";
    if (code === 100) return;
    // Nobody answers for this consumer: it is gone, or its broker is only just coming up.
    if (code === nobodyAnswers || /consumer deleted/i.test(description)) return lost(description || "no such consumer");
    // A refusal would be repeated at once, and for ever.
    if (code !== 404 && code !== 408 && !/^(message size exceeds|batch completed)/i.test(description)) {
      log.warn({ event: "pull_ended", stream, durable, code, description });
      notBeforeMs = clock.monotonicMs() + retryDelayMs;
    }
    const left = (name: string) => Number(headers?.get(name) ?? 0);
    end(message.subject.slice(inbox.length), {
      messages: left("Nats-Pending-Messages"),
      bytes: left("Nats-Pending-Bytes"),
    });
  };

  const onDelivery = (error: Error | null, message: Msg) => {
    if (error) return;
    const code = message.headers?.code ?? 0;
    // That nobody answers is the word of the broker alone that was asked: without a quorum it says so for ever.
    if (code !== nobodyAnswers) heardMs = clock.monotonicMs();
    if (code !== 0) return onStatus(message, code);
    open.messages = Math.max(0, open.messages - 1);
    open.bytes = Math.max(0, open.bytes - message.data.length);
    options.onMessage(new WorkMessage(broker.nc, message));
    ask();
  };

  const look = () => {
    cancelLook = clock.after(lookEveryMs, look);
    const before = clock.monotonicMs() - pullOverMs;
    for (const [token, sentAtMs] of pulls) if (sentAtMs < before) end(token, { messages: 0, bytes: 0 });
    ask();
  };

  return {
    trouble() {
      const nowMs = clock.monotonicMs();
      const roomlessMs = nowMs - roomyMs;
      const silentMs = nowMs - heardMs;
      if (!hasRoom(options.room())) {
        return roomlessMs > troubledAfterMs
          ? `there is no room for messages of ${stream} for ${inSeconds(roomlessMs)}`
          : undefined;
      }
      return silentMs > troubledAfterMs
        ? `the broker has answered no request for messages of ${stream} for ${inSeconds(silentMs)}`
        : undefined;
    },
    async start() {
      if (subscription) return;
      inbox = `${createInbox()}.`;
      subscription = broker.nc.subscribe(`${inbox}*`, { callback: onDelivery });
      // Pulls of the lost connection are answered by nobody.
      endReconnect = broker.onReconnect(() => {
        forgetAll();
        ask();
      });
      look();
    },
    /** Asks for no further messages. Those that are on their way are handed over, and are the callback's business. */
    async stop() {
      if (stopping) return;
      stopping = true;
      // What was asked for may still be sent, and nobody else would get it before the ack wait has passed.
      if (pulls.size > 0 && broker.connected()) {
        const { promise, resolve } = Promise.withResolvers<void>();
        drained = resolve;
        const cancel = clock.after(pullExpiresMs + pullHeartbeatMs, resolve);
        await promise;
        cancel();
      }
      cancelLook?.();
      endReconnect?.();
      if (!broker.nc.isClosed()) subscription?.unsubscribe();
    },
  };
}

function hasRoom({ messages, bytes }: Room): boolean {
  return messages > 0 && bytes >= largestMessageBytes;
}
