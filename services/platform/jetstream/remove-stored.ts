import { NatsError } from "nats";
import { askBroker } from "./ask-broker.ts";
import type { Broker } from "./broker.ts";

/** Removes a message of a stream. False when the broker says that it cannot: it is not there, most likely. Rejects when it does not answer. */
export async function removeStored(broker: Broker, stream: string, sequence: number): Promise<boolean> {
  try {
    return await askBroker(broker, () => broker.jsm.streams.deleteMessage(stream, sequence, false));
  } catch (error) {
    if (error instanceof NatsError && error.api_error) return false;
    throw error;
  }
}
