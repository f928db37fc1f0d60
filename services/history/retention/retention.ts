import { afterThisTurn, type Clock, secondOf, sleep } from "../../platform/process/clock.ts";
import type { Startable } from "../../platform/process/lifecycle.ts";
import type { Log } from "../../platform/process/log.ts";
import type { HistoryMetrics } from "../history-metrics.ts";
import type { HistoryStore, StoreExtent } from "../store/contract.ts";

export interface RetentionConfig {
  /** What is older is forgotten. */
  retentionSeconds: number;
  /** What the store may take of its disk; undefined: as much as there is. */
  maxBytes: number | undefined;
}

export interface RetentionDeps {
  store: Pick<HistoryStore, "forget" | "extent">;
  metrics: Pick<HistoryMetrics, "extent" | "forgotten">;
  clock: Clock;
  log: Log;
}

const roundMs = 2_000;
/** Age is looked at in steps of so much, and of a part of the retention where that is less: each one may seal a segment. */
const longestStepSeconds = 3_600;
const stepsPerRetention = 24;
/** The rest is for the write-ahead log, for free pages, and for what comes until the next round. */
const usedShare = 3 / 4;
/** However little room there is: executors may still ask whether it is recorded (a due message comes again). */
const youngestSeconds = 120;

export interface Retention extends Startable {
  /** Forgets until there is room for a commit, or nothing more may be forgotten. To be called before each: what comes must not outrun it. */
  makeRoom(): Promise<void>;
}

/**
 * Forgets by age and by size. What it may not forget stays (the last 5 of each job that is not deleted, and what waits
 * for a retry): where that alone is more than the limit, the limit is not kept, and the log says so.
 */
export function createRetention(config: RetentionConfig, deps: RetentionDeps): Retention {
  const { store, metrics, clock, log } = deps;
  const stopping = new AbortController();
  const step = Math.max(1, Math.min(longestStepSeconds, Math.floor(config.retentionSeconds / stepsPerRetention)));
  let ageDone = 0;
  let sizeDone = 0;
  let overLimit = false;
  let failing = false;
  let loop: Promise<void> | undefined;

  const measure = async (): Promise<StoreExtent> => {
    const extent = await store.extent();
    metrics.extent(extent);
    return extent;
  };
  const isOver = ({ usedBytes }: StoreExtent) =>
    config.maxBytes !== undefined && usedBytes > config.maxBytes * usedShare;

  /** Forgets what is older than a second while `wanted` says so, and lets others have a turn after each call. */
  const forget = async (reason: "age" | "size", before: number, wanted: () => Promise<boolean>): Promise<boolean> => {
    let executions = 0;
    let done = false;
    while (!done && !stopping.signal.aborted && (await wanted())) {
      const forgotten = await store.forget(before);
      executions += forgotten.count;
      ({ done } = forgotten);
      await new Promise<void>((resolve) => afterThisTurn(resolve));
    }
    if (executions > 0) {
      metrics.forgotten.inc({ reason }, executions);
      const { bytes, rowCount, oldestSecond } = await measure();
      log.info({ event: "history_forgot", reason, executions, before, rowCount, bytes, oldestSecond });
    }
    return done;
  };

  let making: Promise<unknown> | undefined;
  const makeRoom = async () => {
    if (config.maxBytes === undefined || !isOver(await store.extent())) return;
    const before = secondOf(clock.nowMs()) - youngestSeconds;
    // Nothing more to be found since: it would be asked in vain before each commit.
    if (before === sizeDone) return;
    making ??= forget("size", before, async () => isOver(await store.extent()))
      .then((done) => {
        if (done) sizeDone = before;
      })
      .finally(() => {
        making = undefined;
      });
    await making;
  };

  const round = async () => {
    const now = secondOf(clock.nowMs());
    const before = Math.floor((now - config.retentionSeconds) / step) * step;
    if (before !== ageDone && (await forget("age", before, async () => true))) ageDone = before;
    await makeRoom();
    const extent = await measure();
    if (isOver(extent) !== overLimit && !stopping.signal.aborted) {
      overLimit = isOver(extent);
      const { bytes, usedBytes, rowCount } = extent;
      const event = overLimit ? "history_over_its_limit" : "history_within_its_limit";
      log[overLimit ? "warn" : "info"]({ event, bytes, usedBytes, rowCount, maxBytes: config.maxBytes });
    }
  };

  return {
    makeRoom,
    async start() {
      loop ??= (async () => {
        while (!stopping.signal.aborted) {
          try {
            await round();
            failing = false;
          } catch (error) {
            // Once: a full disk fails each round until there is room.
            if (!failing && !stopping.signal.aborted) log.error({ event: "history_forgets_nothing", err: error });
            failing = true;
          }
          await sleep(clock, roundMs, stopping.signal);
        }
      })();
    },
    async stop() {
      stopping.abort();
      await loop;
    },
  };
}
