import type { Broker } from "../../platform/jetstream/broker.ts";
import { createConsumerLoop } from "../../platform/jetstream/consumer-loop.ts";
import type { WorkMessage } from "../../platform/jetstream/work-message.ts";
import type { Clock } from "../../platform/process/clock.ts";
import { inSeconds, troubledAfterMs } from "../../platform/process/conditions.ts";
import type { Startable } from "../../platform/process/lifecycle.ts";
import type { Log } from "../../platform/process/log.ts";
import type { AttemptResult } from "../../wire/attempt-result.ts";
import { readResultBatch } from "../../wire/result-batch.ts";
import { consumers, streams } from "../../wire/streams.ts";
import type { HistoryMetrics } from "../history-metrics.ts";
import type { ExecutionRecord } from "../records/execution-record.ts";
import type { EndingPlace, HistoryStore, RecordChanges } from "../store/contract.ts";

export interface Recorder extends Startable {
  /** Why nothing can be recorded, in words for operators; undefined when the last commit succeeded, and the next one is in time. */
  trouble(): string | undefined;
}

export interface RecorderDeps {
  broker: Broker;
  store: Pick<HistoryStore, "record" | "trouble">;
  /** Called before each commit, which waits for it. */
  makeRoom: () => Promise<void>;
  metrics: HistoryMetrics;
  clock: Clock;
  log: Log;
  /**
   * Told of the executions that ended, or end otherwise, after each commit in which any did, in the order of the commits; and
   * of the place behind them.
   */
  onEnded: (ended: readonly ExecutionRecord[], place: EndingPlace) => void;
}

/** A commit is an fsync: results that come within this span share one. */
const gatherMs = 10;
/** Enough of them to commit at once; a commit takes no more than these and the rest of a message. */
const gatherResults = 5_000;
/** The same for results with long texts, which take several times as much in the store as in their message. */
const gatherBytes = 1024 * 1024;
/**
 * So many messages may wait for their commit; one holds up to 200 results. The broker gives out as many
 * (max_ack_pending). More come only when a commit takes longer than their ack wait: then they are delivered again.
 */
const maxWaitingMessages = 512;
/** What may be on its way here at once. */
const maxAskedBytes = 32 * 1024 * 1024;
/** When a commit failed (a full disk), or too many wait, messages come again after this. */
const redeliverAfterMs = 1_000;

interface Waiting {
  message: WorkMessage;
  results: readonly AttemptResult[];
}

/**
 * The one writer: takes result batches from RESULTS and puts them into the
 * store, one commit after the other; what comes meanwhile gathers for the next.
 * A message is acknowledged after the commit that holds its results, so that a
 * crash repeats it, which changes nothing.
 *
 * This file alone answers the broker (ack, nak, term).
 */
export function createRecorder(deps: RecorderDeps): Recorder {
  const { store, metrics, clock, log } = deps;
  const waiting: Waiting[] = [];
  let waitingResults = 0;
  let cancelFlush: (() => void) | undefined;
  /** The commit that is under way. */
  let committing: Promise<void> | undefined;
  let committingSinceMs = 0;
  let trouble: string | undefined;
  /** Commits that failed since the last one that did not. */
  let failures = 0;
  let closed = false;
  let stopping: Promise<void> | undefined;

  const accept = (message: WorkMessage) => {
    // What the broker gets no answer to comes again.
    if (closed) return;
    if (waiting.length >= maxWaitingMessages) return message.nak(redeliverAfterMs);
    const results = read(message);
    if (!results) return message.term("not a ResultBatch");
    waiting.push({ message, results });
    waitingResults += results.length;
    if (waitingResults >= gatherResults) flush();
    else if (!committing) gather();
  };

  /** Undefined when it cannot be read; it would be no better the next time. */
  const read = (message: WorkMessage): readonly AttemptResult[] | undefined => {
    try {
      const { results, refused } = readResultBatch(message.data);
      for (const why of refused) log.error({ event: "result_refused", sequence: message.seq, why });
      metrics.refused.inc(refused.length);
      return results;
    } catch (error) {
      log.error({ event: "result_batch_broken", sequence: message.seq, bytes: message.data.length, err: error });
      metrics.refused.inc();
      return undefined;
    }
  };

  const gather = () => {
    cancelFlush ??= clock.after(gatherMs, flush);
  };

  const flush = () => {
    cancelFlush?.();
    cancelFlush = undefined;
    if (waiting.length > 0) committing ??= commitWaiting();
  };

  const commitWaiting = async () => {
    do await commit(takeBatch());
    while (waitingResults >= gatherResults);
    committing = undefined;
    // Less than a full commit gathers on.
    if (waiting.length > 0) gather();
  };

  /** The oldest that wait, as many as one commit may have. */
  const takeBatch = (): Waiting[] => {
    let count = 0;
    let results = 0;
    let bytes = 0;
    for (const next of waiting) {
      if (results >= gatherResults || bytes >= gatherBytes) break;
      results += next.results.length;
      bytes += next.message.data.length;
      count++;
    }
    waitingResults -= results;
    return waiting.splice(0, count);
  };

  const commit = async (batch: readonly Waiting[]) => {
    const results = batch.flatMap((one) => one.results);
    const startedMs = clock.monotonicMs();
    committingSinceMs = startedMs;
    let changes: RecordChanges;
    try {
      await deps.makeRoom();
      changes = await store.record(results);
    } catch (error) {
      fail(error, results.length);
      for (const { message } of batch) message.nak(redeliverAfterMs);
      return;
    }
    recover();
    for (const { message } of batch) message.ack();
    metrics.commitSeconds.observe((clock.monotonicMs() - startedMs) / 1000);
    metrics.recorded.inc(changes.news);
    metrics.repeated.inc(results.length - changes.news);
    metrics.countEnded(changes.ended);
    metrics.countRevised(changes.revised);
    if (changes.place) deps.onEnded([...changes.ended, ...changes.revised.map(({ record }) => record)], changes.place);
  };

  /** What waits stays in the stream and comes again: once in the log is enough, for as long as the reason is the same. */
  const fail = (error: unknown, results: number) => {
    const why = store.trouble() ?? `the last commit failed: ${error instanceof Error ? error.message : String(error)}`;
    failures++;
    if (why !== trouble) log.error({ event: "commit_failed", why, results, err: error });
    trouble = why;
  };
  const recover = () => {
    if (trouble !== undefined) log.info({ event: "commits_again", failures });
    trouble = undefined;
    failures = 0;
  };

  const intake = createConsumerLoop(deps.broker, deps, {
    stream: streams.results,
    durable: consumers.results,
    room: () => ({ messages: maxWaitingMessages, bytes: maxAskedBytes }),
    onMessage: accept,
  });

  return {
    trouble() {
      if (trouble !== undefined) return trouble;
      const spanMs = committing ? clock.monotonicMs() - committingSinceMs : 0;
      return spanMs > troubledAfterMs
        ? `the commit under way has not ended for ${inSeconds(spanMs)}`
        : intake.trouble();
    },
    start: () => intake.start(),
    stop() {
      stopping ??= (async () => {
        await intake.stop();
        closed = true;
        while (committing || waiting.length > 0) {
          flush();
          await committing;
        }
      })();
      return stopping;
    },
  };
}
