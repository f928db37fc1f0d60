import { createInbox } from "nats";
import type { Clock } from "../process/clock.ts";
import type { Broker } from "./broker.ts";

/**
 * Asks everybody who listens on a subject, and gathers what they answer until `enough` says so of the answers, the time
 * is up or the connection is lost. Nothing is stored of it. It does not throw.
 */
export function askAll(
  broker: Broker,
  question: {
    subject: string;
    data: Uint8Array;
    timeoutMs: number;
    enough: (answers: readonly Uint8Array[]) => boolean;
  },
  { clock }: { clock: Clock },
): Promise<Uint8Array[]> {
  const answers: Uint8Array[] = [];
  if (!broker.connected()) return Promise.resolve(answers);
  const { promise, resolve } = Promise.withResolvers<Uint8Array[]>();
  const inbox = createInbox();
  const end = () => {
    cancelTimeout();
    endDisconnect();
    if (!broker.nc.isClosed()) subscription.unsubscribe();
    resolve(answers);
  };
  const cancelTimeout = clock.after(question.timeoutMs, end);
  const endDisconnect = broker.onDisconnect(end);
  const subscription = broker.nc.subscribe(inbox, {
    callback(error, message) {
      // The broker's own word that nobody listens has no contents, as has no other that is of use.
      if (error || message.headers?.code === noResponders) return end();
      answers.push(message.data);
      if (question.enough(answers)) end();
    },
  });
  broker.nc.publish(question.subject, question.data, { reply: inbox });
  return promise;
}

const noResponders = 503;
