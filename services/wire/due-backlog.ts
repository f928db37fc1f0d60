import type { Broker } from "../platform/jetstream/broker.ts";
import { consumers, streams } from "./streams.ts";
import { subjectsOfStream } from "./subjects.ts";

/** How far the executors are with DUE. */
export interface DueBacklog {
  /** When the oldest message was stored that no executor has got yet; undefined: they have got all. */
  oldestMs: number | undefined;
  /** Whether an executor asks for messages at this moment. One that is busy does not. */
  asking: boolean;
  /** Differs whenever a message was delivered or acknowledged meanwhile. */
  place: string;
}

/** Asks the broker, twice where something waits. Rejects when it does not answer. */
export async function lookAtDue(broker: Broker): Promise<DueBacklog> {
  const info = await broker.jsm.consumers.info(streams.due, consumers.due);
  const { delivered, ack_floor: ackFloor, num_ack_pending: unacknowledged } = info;
  const place = [delivered.consumer_seq, ackFloor.consumer_seq, unacknowledged].join("/");
  let oldestMs: number | undefined;
  if (info.num_pending > 0) {
    // The next one that is there: newer than the client's types.
    const query = { seq: delivered.stream_seq + 1, next_by_subj: subjectsOfStream.due };
    // It may be delivered and acknowledged by now.
    const message = await broker.jsm.streams.getMessage(streams.due, query).catch(() => undefined);
    oldestMs = message?.time.getTime();
  }
  return { oldestMs, asking: info.num_waiting > 0, place };
}
