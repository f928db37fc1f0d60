import type { Publisher } from "../../platform/jetstream/publisher.ts";
import type { Clock } from "../../platform/process/clock.ts";
import type { Startable } from "../../platform/process/lifecycle.ts";
import type { Log } from "../../platform/process/log.ts";
import type { AttemptResult } from "../../wire/attempt-result.ts";
import { ResultBatchWriter, resultBatchId } from "../../wire/result-batch.ts";
import { subjects } from "../../wire/subjects.ts";
import type { Settlement } from "../settling/settlements.ts";

/** Publishes what became of attempts, many to a message. */
export interface ResultPublisher extends Startable {
  /** `settlement` is told once the broker has stored the result, or refused it. */
  add(result: AttemptResult, settlement: Settlement): void;
  /** That an attempt has to wait: nothing depends on it, and it is left out while the broker is behind. */
  tell(wait: AttemptResult): void;
  /** Results that the broker has not stored yet. */
  pending(): number;
  flush(): void;
}

const maxResults = 200;
const maxBytes = 256 * 1024;
// So many results on their way leave no room for what nothing depends on.
const mostToTell = 2_000;
// A result waits at most this long for others: the due message behind it waits too.
const gatherMs = 6;

export function createResultPublisher(
  publisher: Publisher,
  deps: { clock: Clock; log: Log },
  /** Makes message ids unique among all executors and their restarts. */
  sender: string,
): ResultPublisher {
  const writer = new ResultBatchWriter();
  let settlements: (Settlement | undefined)[] = [];
  let batches = 0;
  let unstored = 0;
  let cancelTimer: (() => void) | undefined;

  const flush = () => {
    cancelTimer?.();
    cancelTimer = undefined;
    if (settlements.length === 0) return;
    const gathered = settlements;
    settlements = [];
    const messageId = resultBatchId(sender, batches++);
    void publisher.publish(subjects.results, writer.take(), { messageId }).then((answer) => {
      unstored -= gathered.length;
      if (answer.kind === "stored") {
        for (const settlement of gathered) settlement?.done();
        return;
      }
      // Abandoned at a stop: the due messages stay unacknowledged and come again.
      if (answer.kind === "abandoned") return;
      deps.log.error({ event: "results_refused", results: gathered.length, ...answer });
      for (const settlement of gathered) settlement?.refused();
    });
  };

  const gather = (result: AttemptResult, settlement?: Settlement) => {
    writer.add(result);
    unstored++;
    if (settlements.push(settlement) >= maxResults || writer.bytes() >= maxBytes) flush();
    else cancelTimer ??= deps.clock.after(gatherMs, flush);
  };

  return {
    add: gather,
    tell(wait) {
      if (unstored < mostToTell) gather(wait);
    },
    pending: () => unstored,
    flush,
    async start() {},
    async stop() {
      flush();
    },
  };
}
