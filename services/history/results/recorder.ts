import type { JsMsg } from "nats";
import type { Broker } from "../../platform/jetstream/broker.ts";
import { createConsumerLoop } from "../../platform/jetstream/consumer-loop.ts";
import type { Clock } from "../../platform/process/clock.ts";
import type { Startable } from "../../platform/process/lifecycle.ts";
import type { Log } from "../../platform/process/log.ts";
import type { AttemptResult } from "../../wire/attempt-result.ts";
import { readResultBatch } from "../../wire/result-batch.ts";
import { consumers, streams } from "../../wire/streams.ts";
import type { HistoryMetrics } from "../history-metrics.ts";
import type { HistoryStore, Recorded } from "../store/store.ts";

export interface Recorder extends Startable {
  /** Whether the last commit succeeded. */
  healthy(): boolean;
}

export interface RecorderDeps {
  broker: Broker;
  store: Pick<HistoryStore, "record">;
  metrics: HistoryMetrics;
  clock: Clock;
  log: Log;
  /** Told of executions that have just been settled, after the commit. */
  onSettled: (results: readonly AttemptResult[]) => void;
}

/** A commit is an fsync: results that come within this span share one. */
const gatherMs = 10;
/** Enough of them to commit at once. */
const gatherResults = 5_000;
/** Messages that may wait in this process; one holds up to 200 results. */
const bufferedMessages = 512;
/** When a commit failed (a full disk), its messages come again after this. */
const redeliverAfterMs = 1_000;

/**
 * The one writer: takes result batches from RESULTS and puts them into the
 * store. A message is acknowledged after the commit that holds its results, so
 * that a crash repeats it, which changes nothing.
 *
 * Messages are settled in this file only.
 */
export function createRecorder(deps: RecorderDeps): Recorder {
  const { store, metrics, clock, log } = deps;
  let messages: JsMsg[] = [];
  let results: AttemptResult[] = [];
  let cancelFlush: (() => void) | undefined;
  let committing = true;
  let stopping: Promise<void> | undefined;

  const accept = (message: JsMsg) => {
    try {
      const batch = readResultBatch(message.data);
      for (const result of batch.results) results.push(result);
      for (const why of batch.refused) log.error({ event: "result_refused", sequence: message.seq, why });
      metrics.refused.inc(batch.refused.length);
    } catch (error) {
      // It would be no better the next time.
      log.error({ event: "result_batch_broken", sequence: message.seq, bytes: message.data.length, err: error });
      metrics.refused.inc();
      message.term("not a ResultBatch");
      return;
    }
    messages.push(message);
    if (results.length >= gatherResults) flush();
    else cancelFlush ??= clock.after(gatherMs, flush);
  };

  const flush = () => {
    cancelFlush?.();
    cancelFlush = undefined;
    if (messages.length === 0) return;
    const settling = messages;
    const recording = results;
    messages = [];
    results = [];
    const startedMs = clock.monotonicMs();
    let recorded: Recorded;
    try {
      recorded = store.record(recording);
    } catch (error) {
      committing = false;
      log.error({ event: "commit_failed", results: recording.length, err: error });
      for (const message of settling) message.nak(redeliverAfterMs);
      return;
    }
    committing = true;
    for (const message of settling) message.ack();
    metrics.commitSeconds.observe((clock.monotonicMs() - startedMs) / 1000);
    metrics.recorded.inc(recorded.news);
    metrics.repeated.inc(recording.length - recorded.news);
    metrics.countSettled(recorded.settled);
    deps.onSettled(recorded.settled);
  };

  const intake = createConsumerLoop(deps.broker, deps, {
    stream: streams.results,
    durable: consumers.results,
    maxMessages: bufferedMessages,
    onMessage: accept,
  });

  return {
    healthy: () => committing,
    start: () => intake.start(),
    stop() {
      stopping ??= (async () => {
        await intake.stop();
        flush();
      })();
      return stopping;
    },
  };
}
