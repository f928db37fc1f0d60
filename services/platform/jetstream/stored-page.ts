import { createInbox, type Msg, type MsgHdrs } from "nats";
import type { Clock } from "../process/clock.ts";
import { askBroker } from "./ask-broker.ts";
import type { Broker } from "./broker.ts";

export interface StoredMessage {
  sequence: number;
  storedAtMs: number;
  data: Uint8Array;
}

export interface StoredPage {
  messages: readonly StoredMessage[];
  /** False when the stream has nothing behind them. */
  goesOn: boolean;
}

export interface PageRequest {
  stream: string;
  /** Undefined: whatever the stream has. */
  subject: string | undefined;
  /** The first that is stored at this sequence or instant, or later. A broker before 2.11 takes an instant for the beginning. */
  from: { sequence: number } | { storedAtMs: number };
  /** One before 2.11 gives a message at a time. */
  maxMessages: number;
  /** No further message once they have so many; a message counts whole. */
  maxBytes: number;
}

const timeoutMs = 5_000;
const noMessage = 404;
const endOfBatch = 204;
// Each message of a batch, and its end, say how many are left; a broker that does not know batches does not.
const pendingHeader = "Nats-Num-Pending";

/**
 * Reads some messages of a stream with `allow_direct`, in order and without a consumer (NATS ADR-31). Any replica
 * answers: what was stored or removed at this moment may be missing or still there. Rejects when none does.
 */
export async function readStoredPage(broker: Broker, clock: Clock, request: PageRequest): Promise<StoredPage> {
  const { stream, subject, from, maxMessages, maxBytes } = request;
  const messages: StoredMessage[] = [];
  const { promise, resolve, reject } = Promise.withResolvers<StoredPage>();

  const onAnswer = (error: Error | null, { headers, data }: Msg) => {
    if (error) return reject(error);
    const code = headers?.code ?? 0;
    if (code === noMessage) return resolve({ messages, goesOn: false });
    if (code === endOfBatch) return resolve({ messages, goesOn: pendingOf(headers) > 0 });
    if (code !== 0 || !headers) return reject(new Error(`${stream} answered ${code} ${headers?.description ?? ""}`));
    messages.push({
      sequence: Number(headers.last("Nats-Sequence")),
      storedAtMs: Date.parse(headers.last("Nats-Time-Stamp")),
      data,
    });
    if (!headers.has(pendingHeader)) resolve({ messages, goesOn: true });
  };

  const inbox = createInbox();
  const subscription = broker.nc.subscribe(inbox, { callback: onAnswer });
  const cancelTimeout = clock.after(timeoutMs, () => reject(new Error(`${stream} did not answer in time`)));
  const place = "sequence" in from ? { seq: from.sequence } : { start_time: new Date(from.storedAtMs).toISOString() };
  try {
    return await askBroker(broker, () => {
      const question = { ...place, next_by_subj: subject ?? ">", batch: maxMessages, max_bytes: maxBytes };
      broker.nc.publish(`$JS.API.DIRECT.GET.${stream}`, JSON.stringify(question), { reply: inbox });
      return promise;
    });
  } finally {
    cancelTimeout();
    if (!broker.nc.isClosed()) subscription.unsubscribe();
  }
}

function pendingOf(headers: MsgHdrs | undefined): number {
  return Number(headers?.last(pendingHeader) ?? 0);
}
