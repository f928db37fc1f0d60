import { AckPolicy, DeliverPolicy, type JsMsg, nanos, ReplayPolicy } from "nats";
import { askBroker } from "./ask-broker.ts";
import type { Broker } from "./broker.ts";

export interface StreamRange {
  stream: string;
  subject: string;
  /** The messages between two sequences, or the last one of each subject. */
  what: { afterSequence: number; untilSequence: number } | "last of each";
  /** So many messages are held at once. */
  pageMessages: number;
}

// Between two pages, however long what is done with one takes.
const inactiveThresholdMs = 300_000;
const pageExpiresMs = 5_000;

/**
 * Reads what a stream holds at this moment, page by page; the next page is asked for once
 * `onPage` has resolved, as long as it says true. Rejects when the broker does not answer: it is
 * read again from where the last page ended.
 */
export async function readStreamRange(
  broker: Broker,
  { stream, subject, what, pageMessages }: StreamRange,
  onPage: (messages: readonly JsMsg[]) => Promise<boolean>,
): Promise<void> {
  const untilSequence = what === "last of each" ? Number.POSITIVE_INFINITY : what.untilSequence;
  if (what !== "last of each" && untilSequence <= what.afterSequence) return;
  const start =
    what === "last of each"
      ? { deliver_policy: DeliverPolicy.LastPerSubject }
      : { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: what.afterSequence + 1 };
  const { name, num_pending: pending } = await askBroker(broker, () =>
    broker.jsm.consumers.add(stream, {
      ...start,
      filter_subject: subject,
      ack_policy: AckPolicy.None,
      replay_policy: ReplayPolicy.Instant,
      inactive_threshold: nanos(inactiveThresholdMs),
      mem_storage: true,
      num_replicas: 1,
    }),
  );
  try {
    const consumer = await askBroker(broker, () => broker.js.consumers.get(stream, name));
    for (let left = pending; left > 0; ) {
      const wanted = Math.min(left, pageMessages);
      const messages = await askBroker(broker, async () => {
        const found: JsMsg[] = [];
        for await (const message of await consumer.fetch({ max_messages: wanted, expires: pageExpiresMs }))
          found.push(message);
        return found;
      });
      const last = messages.at(-1);
      if (!last) throw new Error(`${stream} gave none of ${left} messages`);
      left = last.info.pending;
      const within = messages.filter(({ seq }) => seq <= untilSequence);
      if (within.length > 0 && !(await onPage(within))) return;
      if (last.seq >= untilSequence) return;
    }
  } finally {
    // Not waited for: a broker that is away would hold up whoever reads.
    if (!broker.nc.isClosed()) void broker.jsm.consumers.delete(stream, name).catch(() => undefined);
  }
}
