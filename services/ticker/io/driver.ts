import type { Broker } from "../../platform/jetstream/broker.ts";
import type { Publisher } from "../../platform/jetstream/publisher.ts";
import { type Clock, sleep } from "../../platform/process/clock.ts";
import type { Startable } from "../../platform/process/lifecycle.ts";
import type { Log } from "../../platform/process/log.ts";
import { dueBatchId, writeDueBatch } from "../../wire/due-batch.ts";
import { partitionClaimId, writePartitionClaim } from "../../wire/partition-claim.ts";
import { subjects } from "../../wire/subjects.ts";
import { tickId, writeTick } from "../../wire/tick.ts";
import type { TickerEffect } from "../core/effects.ts";
import type { Now } from "../core/now.ts";
import { TickerCore } from "../core/ticker-core.ts";
import type { TickerSettings } from "../core/ticker-settings.ts";
import type { TickerStatus } from "../core/ticker-status.ts";
import { type Coordination, createCoordination } from "./coordination.ts";
import { DuePlace } from "./due-place.ts";
import { createJobsReader, type JobsReader } from "./jobs-reader.ts";
import { logNotice } from "./notices.ts";
import type { TickerMetrics } from "./ticker-metrics.ts";

export interface DriverDeps {
  broker: Broker;
  /** For due messages alone, so that ticks and claims never wait behind a burst. */
  duePublisher: Publisher;
  controlPublisher: Publisher;
  clock: Clock;
  log: Log;
  metrics: TickerMetrics;
  /** Differs from process to process, so that no two processes give two messages one id. */
  nonce: string;
}

export interface Driver extends Startable {
  status(): TickerStatus;
}

// The core looks at its fence and at silent tickers at least this often.
const longestWaitMs = 250;
// A stop waits so long for acknowledgements, and the launcher 2 s for the stop. What has none by then the next owner publishes again.
const drainMs = 1_200;
const giveBackMs = 600;
const stopPollMs = 20;

/** Runs the core: turns the clock and the streams into its inputs, and its effects into messages. */
export function createDriver(settings: TickerSettings, deps: DriverDeps): Driver {
  const { broker, clock, log, metrics, duePublisher, controlPublisher, nonce } = deps;
  const core = new TickerCore(settings);
  const now = (): Now => ({ wallMs: clock.nowMs(), monotonicMs: clock.monotonicMs() });
  let cancelTimer: (() => void) | undefined;
  let unsubscribes: (() => void)[] = [];
  const place = new DuePlace();
  let running = false;
  let stopping: Promise<void> | undefined;

  /** Gives the core one input, and does at once all that follows from it. */
  const input = (give: (now: Now) => void): void => {
    give(now());
    for (const effect of core.takeEffects()) perform(effect);
  };

  const coordination: Coordination = createCoordination(broker, deps, {
    onClaim: ({ partition, claim, revision }) => input((at) => core.claimSeen(at, partition, claim, revision)),
    onClaimsReset: () => input(() => core.claimsReset()),
    onClaimsComplete: () => input((at) => core.claimsComplete(at)),
    onTick: (tick, sequence) => input((at) => core.tickSeen(at, tick, sequence)),
    onTicksReset: () => input(() => core.ticksReset()),
    onTicksComplete: () => input((at) => core.ticksComplete(at)),
  });
  const jobs: JobsReader = createJobsReader(broker, deps, {
    partitionCount: settings.partitions,
    onChange: (followId, partition, sequence, change) =>
      input((at) => core.jobChanged(at, followId, partition, sequence, change)),
    onStream: (followId, createdMs) => input((at) => core.jobsOpened(at, followId, createdMs)),
    onEnd: (followId) => input((at) => core.jobsComplete(at, followId)),
  });

  const perform = (effect: TickerEffect): void => {
    switch (effect.kind) {
      case "publish-due":
        publishDue(effect);
        break;
      case "publish-tick":
        publishTick(effect);
        break;
      case "write-claim":
        writeClaim(effect);
        break;
      case "read-claims":
        void coordination.readClaims(effect.partitions).then((claims) => {
          if (claims) input((at) => core.claimsRead(at, effect.id, claims));
        });
        break;
      case "read-last-tick":
        void coordination.readLastTick(effect.ticker).then((answer) => {
          if (answer) input((at) => core.lastTickRead(at, effect.ticker, answer.last));
        });
        break;
      case "forget-ticks":
        void coordination.forgetTicks(effect.ticker, effect.sequence).then((answer) => {
          if (!answer) return;
          log.info({ event: "gone_ticker_forgotten", ticker: effect.ticker });
          input((at) => core.lastTickRead(at, effect.ticker, answer.last));
        });
        break;
      case "follow":
        log.info({ event: "partitions_followed", count: effect.partitions.length, partitions: effect.partitions });
        jobs.follow(effect.followId, effect.partitions);
        break;
      case "unfollow":
        jobs.unfollow(effect.followId, effect.partition);
        break;
      case "notice":
        logNotice(log, metrics, settings.ticker, effect.notice);
        break;
      default:
        effect satisfies never;
    }
  };

  const publishDue = (effect: Extract<TickerEffect, { kind: "publish-due" }>): void => {
    const { id, partition, entries, contents } = effect;
    const messageId = dueBatchId(effect, contents);
    const highestBefore = place.highest;
    void duePublisher.publish(subjects.due(partition), writeDueBatch(effect), { messageId }).then((report) => {
      // Abandoned: the process stops, and the watermark stays where it is.
      if (report.kind === "abandoned") return;
      const stored = report.kind === "stored";
      if (stored) metrics.duePublished.inc(entries.length);
      else log.error({ event: "due_refused", partition, code: report.code, description: report.description });
      input((at) => core.duePublished(at, id, stored));
      if (report.kind === "stored" && place.stored(report, highestBefore)) input((at) => core.dueReplaced(at));
    });
  };

  const publishTick = ({ id, tick }: Extract<TickerEffect, { kind: "publish-tick" }>): void => {
    const complete = tick.partitions.every(({ watermark }) => (watermark?.second ?? 0) >= tick.second);
    if (complete && tick.partitions.length > 0) {
      const sinceMs = clock.nowMs() - (tick.second * 1000 - settings.leadMs);
      metrics.tickSeconds.observe(Math.max(0, sinceMs) / 1000);
    }
    const messageId = tickId(nonce, id);
    void controlPublisher.publish(subjects.tick(tick.ticker), writeTick(tick), { messageId }).then((report) => {
      if (report.kind === "abandoned") return;
      if (report.kind === "refused") log.error({ ...report, event: "tick_refused" });
      input((at) => core.tickPublished(at, id, report.kind === "stored"));
    });
  };

  const writeClaim = (effect: Extract<TickerEffect, { kind: "write-claim" }>): void => {
    const { id, partition, claim, revision } = effect;
    const options = { messageId: partitionClaimId(nonce, id), expectLastSubjectSequence: revision };
    void controlPublisher.publish(subjects.claim(partition), writePartitionClaim(claim), options).then((report) => {
      if (report.kind === "abandoned") return;
      input((at) => core.claimWritten(at, id, partition, report.kind === "stored" ? report.sequence : undefined));
    });
  };

  const schedule = () => {
    // Wakes when a second comes within the lead, and sooner since the wall clock may jump meanwhile.
    const untilSecondMs = 1_000 - ((clock.nowMs() + settings.leadMs) % 1_000);
    cancelTimer = clock.after(Math.min(longestWaitMs, untilSecondMs), () => {
      if (!running) return;
      input((at) => core.clock(at));
      schedule();
    });
  };

  const until = async (done: () => boolean, timeoutMs: number): Promise<boolean> => {
    const startedMs = clock.monotonicMs();
    while (!done() && clock.monotonicMs() - startedMs < timeoutMs) await sleep(clock, stopPollMs);
    return done();
  };

  const stop = async () => {
    if (!running) return;
    input((at) => core.stop(at));
    const stopped = () => core.status().stopped;
    if (!(await until(stopped, drainMs))) {
      log.warn({ event: "acknowledgements_abandoned", outstanding: core.status().outstanding });
      input((at) => core.giveUp(at));
      if (!(await until(stopped, giveBackMs))) log.warn({ event: "claims_not_given_back", owned: core.status().owned });
    }
    running = false;
    cancelTimer?.();
    for (const unsubscribe of unsubscribes) unsubscribe();
    await Promise.all([coordination.stop(), jobs.stop()]);
  };

  return {
    status: () => core.status(),
    async start() {
      if (running || stopping) return;
      running = true;
      unsubscribes = [
        broker.onDisconnect(() => input(() => core.connectionLost())),
        broker.onReconnect(() => input((at) => core.connectionUp(at))),
      ];
      if (broker.connected()) input((at) => core.connectionUp(at));
      await coordination.start();
      schedule();
    },
    /**
     * In this order: begins no further second, waits for what is under way to be
     * acknowledged (bounded), gives each partition back with its watermark, and
     * ends the readers.
     */
    stop() {
      stopping ??= stop();
      return stopping;
    },
  };
}
