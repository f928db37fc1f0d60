import { defaultTickerSettings, type TickerSettings } from "../../services/ticker/core/ticker-settings.ts";
import { SimulatedBroker } from "./broker.ts";
import { SimulatedExecutor } from "./executor.ts";
import { Judge } from "./judge.ts";
import type { Network } from "./machine.ts";
import { SimulatedTicker } from "./node.ts";
import { createDice, type Dice } from "./random.ts";
import { SimulatedRegistry } from "./registry.ts";
import { Timeline } from "./timeline.ts";

/**
 * calm: one ticker, nothing fails: each occurrence exactly once.
 * rolling: several tickers that start and stop as they should: nothing lost, repeats are marked.
 * storm: anything: nothing lost.
 */
export type Weather = "calm" | "rolling" | "storm";

export interface RunReport {
  seed: number;
  weather: Weather;
  failures: string[];
  published: number;
  repeats: number;
  unmarkedRepeats: number;
  changes: { edits: number; pauses: number; deletions: number };
  /** Something happened after which a good deal goes out again: a stream was lost, or a clock set by more than a minute. */
  upset: boolean;
}

const startMs = 1_000_000_000_000;
const calmMs = 26_000;
// A clock that was set back by a minute and a half makes that many seconds go out again, in narrow windows.
const calmAfterClocksMs = 90_000;
const partitions = 4;
// As long as a ticker may name a sequence of a stream that was replaced.
const unawareMs = 60_000;

const networks: Record<Weather, Network> = {
  calm: { usualMs: 15, worstMs: 80, loss: 0 },
  rolling: { usualMs: 15, worstMs: 80, loss: 0 },
  storm: { usualMs: 40, worstMs: 900, loss: 0.02 },
};

/** One run: everything about it follows from the seed. */
export function runScenario(seed: number): RunReport {
  const dice = createDice(seed);
  const weather = dice.pick<Weather>(["calm", "rolling", "storm", "storm", "storm"]);
  const timeline = new Timeline(startMs + dice.between(0, 999));
  const judge = new Judge();
  const crowded = dice.chance(0.2);
  const broker = new SimulatedBroker(judge);
  const troubleEndMs = timeline.nowMs + dice.between(6_000, 16_000);
  const edits = dice.chance(0.5);
  const registry = new SimulatedRegistry(timeline, broker, dice, {
    // In a crowd a second does not fit into the window at once.
    crowd: crowded ? dice.between(10, 25) : 0,
    changes: edits ? dice.between(20, 60) : dice.between(4, 24),
    changesEndMs: troubleEndMs,
    edits,
    skewMs: dice.between(-200, 200),
    relayMs: { usual: dice.pick(edits ? [5, 20, 100] : [5, 50, 400]), worst: weather === "calm" ? 300 : 3_000 },
    partitions,
  });
  // A second in the future is cut down to now.
  judge.begin(registry, (second) => Math.min(second * 1000, timeline.nowMs) >= broker.jobs.createdMs + unawareMs);
  const network = { ...networks[weather] };
  const skewMs = weather === "storm" ? 1_500 : 100;
  const tickers = Array.from({ length: weather === "calm" ? 1 : dice.between(1, 3) }, (_, index) => {
    return new SimulatedTicker(
      { timeline, broker, judge, dice, network },
      settings(`ticker-${index}`, dice, crowded),
      dice.between(-skewMs, skewMs),
    );
  });
  const executor = new SimulatedExecutor({ timeline, broker, judge, dice, network: networks.calm });
  executor.start();
  for (const ticker of tickers) timeline.after(weather === "calm" ? 0 : dice.between(0, 3_000), () => ticker.start());
  registry.start();
  if (weather !== "calm") {
    for (let trouble = dice.between(1, 6); trouble > 0; trouble--) {
      const atMs = timeline.nowMs + Math.floor(dice.next() * (troubleEndMs - timeline.nowMs));
      const ticker = dice.pick(tickers);
      timeline.at(atMs, () =>
        weather === "rolling"
          ? restart(ticker, timeline, dice)
          : harm({ ticker, executor, timeline, dice, broker, registry }),
      );
    }
  }
  timeline.runUntil(troubleEndMs);
  // From here on the sun shines: what is owed must come.
  Object.assign(network, networks.calm);
  const survivor = dice.pick(tickers);
  survivor.start();
  // It may have been about to stop.
  for (const laterMs of [6_000, 15_000]) timeline.after(laterMs, () => survivor.start());
  for (const ticker of tickers) {
    ticker.connect();
    if (Math.abs(ticker.wallOffsetMs) > skewMs) ticker.wallOffsetMs = 0;
  }
  const away = new Set(tickers.filter((ticker) => !ticker.running));
  timeline.runUntil(troubleEndMs + (judge.clocksStepped ? calmAfterClocksMs : calmMs));
  if (!tickers.some((ticker) => ticker.running)) judge.fail("no ticker is left");
  const there = new Set(tickers.filter((ticker) => ticker.running || !away.has(ticker)).map(({ name }) => name));
  const left = broker.ticks.keys().filter((name) => !there.has(name));
  // A watermark of a clock that ran ahead stands until time has caught up with it.
  if (left.length > 0 && !judge.clocksStepped) judge.fail(`left over: the ticks of ${left.join(", ")}`);
  judge.complete(Math.floor((timeline.nowMs - skewMs - 1_000) / 1000), weather === "calm");
  if (weather === "calm" && judge.repeats > 0) judge.fail(`${judge.repeats} repeats although nothing failed`);
  if (weather === "rolling" && judge.unmarkedRepeats > 0) judge.fail(`${judge.unmarkedRepeats} unmarked repeats`);
  const { failures, published, repeats, unmarkedRepeats } = judge;
  const upset = judge.clocksStepped || broker.jobs.era > 0;
  return { seed, weather, failures, published, repeats, unmarkedRepeats, changes: registry.counts, upset };
}

function settings(ticker: string, dice: Dice, crowded: boolean): TickerSettings {
  return {
    ...defaultTickerSettings,
    ticker,
    partitions,
    limits: { entries: dice.between(1, crowded ? 2 : 4), bytes: 1_000 },
    maxOutstanding: dice.between(2, crowded ? 3 : 8),
    maxOutstandingBytes: 1_000_000,
    filledAfterMs: dice.between(300, 5_000),
    forgetAfterMs: dice.between(4_000, 10_000),
  };
}

function restart(ticker: SimulatedTicker, timeline: Timeline, dice: Dice): void {
  ticker.stop();
  comesBack(ticker, dice.between(500, 6_000), timeline, dice);
}

/** Under its own name, or as another one: then nobody hears of the one before again. */
function comesBack(ticker: SimulatedTicker, afterMs: number, timeline: Timeline, dice: Dice): void {
  const name = dice.chance(0.3) ? `${ticker.name}x` : ticker.name;
  timeline.after(afterMs, () => {
    ticker.rename(name);
    ticker.start();
  });
}

interface World {
  ticker: SimulatedTicker;
  executor: SimulatedExecutor;
  timeline: Timeline;
  dice: Dice;
  broker: SimulatedBroker;
  registry: SimulatedRegistry;
}

function harm({ ticker, executor, timeline, dice, broker, registry }: World): void {
  switch (dice.between(0, 9)) {
    case 8:
      executor.restart();
      return;
    case 0:
    case 1:
      ticker.crash();
      comesBack(ticker, dice.between(10, 8_000), timeline, dice);
      return;
    case 2:
      ticker.disconnect();
      timeline.after(dice.between(10, 7_000), () => ticker.connect());
      return;
    case 3:
      ticker.suspend(dice.between(100, 9_000));
      return;
    case 4: {
      const jumpMs = dice.pick([-90_000, -20_000, -3_000, 2_000, 12_000, 80_000]);
      if (Math.abs(jumpMs) > 60_000) broker.judge.clocksStepped = true;
      const rightMs = Math.abs(ticker.wallOffsetMs) > 1_500 ? 0 : ticker.wallOffsetMs;
      ticker.wallOffsetMs += jumpMs;
      timeline.after(dice.between(500, 5_000), () => {
        ticker.wallOffsetMs = rightMs;
      });
      return;
    }
    case 5:
      broker.forgetMessageIds();
      return;
    case 6:
      broker.jobs.replace(timeline.nowMs);
      registry.refill();
      return;
    case 7:
      // The broker's disk is lost; what DUE held was taken already.
      broker.forgetMessageIds();
      broker.jobs.replace(timeline.nowMs);
      broker.claims.replace(timeline.nowMs);
      broker.ticks.replace(timeline.nowMs);
      registry.refill();
      return;
    default:
      restart(ticker, timeline, dice);
  }
}
