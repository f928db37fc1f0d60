import { NatsError, type StoredMsg } from "nats";
import type { Broker } from "./broker.ts";

const noMessageFound = 10_037;

/** The last message of a subject, asked of the stream's leader; undefined when there is none. Rejects when the broker does not answer. */
export async function lastMessage(broker: Broker, stream: string, subject: string): Promise<StoredMsg | undefined> {
  try {
    return await broker.jsm.streams.getMessage(stream, { last_by_subj: subject });
  } catch (error) {
    if (error instanceof NatsError && error.api_error?.err_code === noMessageFound) return undefined;
    throw error;
  }
}
