import { NatsError } from "nats";
import { askBroker } from "./ask-broker.ts";
import type { Broker } from "./broker.ts";
import { isPassing } from "./publish-answers.ts";

/**
 * Removes a message of a stream. False when the broker says that it cannot: it is not there, most likely. Rejects when it
 * does not answer, or cannot at this moment, as a cluster that has no leader.
 */
export async function removeStored(broker: Broker, stream: string, sequence: number): Promise<boolean> {
  try {
    return await askBroker(broker, () => broker.jsm.streams.deleteMessage(stream, sequence, false));
  } catch (error) {
    const refusal = error instanceof NatsError ? error.api_error : undefined;
    if (refusal && !isPassing(refusal.err_code ?? refusal.code, refusal.code)) return false;
    throw error;
  }
}

/** Removes the messages of one subject up to a sequence, itself included. Rejects when the broker does not say that it is done. */
export async function removeUpTo(broker: Broker, stream: string, subject: string, sequence: number): Promise<void> {
  await askBroker(broker, () => broker.jsm.streams.purge(stream, { filter: subject, seq: sequence + 1 }));
}
