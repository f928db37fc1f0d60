import { describe, expect, it } from "vitest";
import type { TickerEffect } from "./effects.ts";
import { TickerCore } from "./ticker-core.ts";
import { defaultTickerSettings } from "./ticker-settings.ts";

const everySecond = { key: "every-1", nextAfter: (second: number) => second + 1 };
const startMs = 1_000_000;

/** A core with both hands on its clock, alone in a world of one partition, whose broker answers when it is told to. */
function alone() {
  const core = new TickerCore({
    ...defaultTickerSettings,
    // A whole second, so that the times below read easily.
    leadMs: 1_000,
    ticker: "a",
    partitions: 1,
    limits: { entries: 100, bytes: 1_000_000 },
  });
  let elapsedMs = 0;
  let revision = 0;
  let setMs = 0;
  const now = () => ({ wallMs: startMs + elapsedMs + setMs, monotonicMs: elapsedMs });
  const seen: TickerEffect[] = [];
  /** Takes the effects, and answers those that the broker is to answer. */
  const answer = (answers: { ticks: boolean }) => {
    for (let effects = core.takeEffects(); effects.length > 0; effects = core.takeEffects()) {
      for (const effect of effects) {
        seen.push(effect);
        if (effect.kind === "write-claim") core.claimWritten(now(), effect.id, effect.partition, ++revision);
        if (effect.kind === "publish-due") core.duePublished(now(), effect.id, true);
        if (effect.kind === "publish-tick" && answers.ticks) core.tickPublished(now(), effect.id, true);
        if (effect.kind === "follow") core.jobsComplete(now(), effect.followId);
      }
    }
  };
  core.connectionUp(now());
  core.claimsComplete(now());
  core.ticksComplete(now());
  answer({ ticks: true });
  const follow = seen.find((effect) => effect.kind === "follow");
  if (!follow) throw new Error("nothing is followed");
  const change = {
    jobId: "job",
    entry: new Uint8Array(1),
    generation: 1,
    timingGeneration: 1,
    effectiveFromMs: startMs,
  };
  core.jobChanged(now(), follow.followId, 0, 1, {
    kind: "active",
    ...change,
    timingSequence: 1,
    occurrences: everySecond,
    earlier: [],
    pausedGeneration: 0,
  });
  return {
    core,
    now,
    /** Lets time pass and tells what went out meanwhile. */
    pass(ms: number, answers = { ticks: true }): TickerEffect[] {
      seen.length = 0;
      for (let step = 0; step < ms; step += 250) {
        elapsedMs += 250;
        core.clock(now());
        answer(answers);
      }
      return [...seen];
    },
    /** Sets the wall clock, and nothing else. */
    setClock(ms: number): void {
      setMs += ms;
    },
    followId: follow.followId,
    jumpMs(ms: number): TickerEffect[] {
      seen.length = 0;
      elapsedMs += ms;
      core.clock(now());
      answer({ ticks: true });
      return [...seen];
    },
    answer,
    seen,
  };
}

const dueSeconds = (effects: readonly TickerEffect[]) =>
  effects.filter((effect) => effect.kind === "publish-due").map(({ second }) => second);

describe("a ticker", () => {
  it("that is alone owns everything at once and publishes each second a second ahead", () => {
    const world = alone();
    expect(world.core.status()).toMatchObject({ owned: 1, loaded: 1, informed: true });
    expect(dueSeconds(world.pass(3_000))).toEqual([1_001, 1_002, 1_003, 1_004]);
  });

  it("stops publishing when its ticks are not acknowledged", () => {
    const world = alone();
    world.pass(2_000);
    const cutOff = dueSeconds(world.pass(8_000, { ticks: false }));
    // Two seconds for the answer, and the cadence of the ticks.
    expect(cutOff.length).toBeLessThanOrEqual(4);
    expect(world.core.status().fenced).toBe(true);
  });

  it("that stood still asks whether its claims are still its own, and then makes up for it", () => {
    const world = alone();
    world.pass(2_000);
    const awake = world.jumpMs(10_000);
    expect(dueSeconds(awake)).toEqual([]);
    const read = awake.find((effect) => effect.kind === "read-claims");
    if (!read) throw new Error("the claims were not read");
    world.seen.length = 0;
    const claim = { owner: "a", epoch: 1, watermark: undefined };
    world.core.claimsRead(world.now(), read.id, [{ partition: 0, claim, revision: 1 }]);
    world.answer({ ticks: true });
    expect(dueSeconds(world.seen)).toEqual(Array.from({ length: 10 }, (_, index) => 1_004 + index));
  });

  it("drops a partition at once when a newer epoch has it", () => {
    const world = alone();
    world.pass(2_000);
    world.core.claimSeen(world.now(), 0, { owner: "b", epoch: 2, watermark: undefined }, 9);
    expect(world.core.status().owned).toBe(0);
    expect(dueSeconds(world.pass(2_000))).toEqual([]);
  });

  it("asks the stream for a silent ticker's last tick before it takes over", () => {
    const world = alone();
    world.core.claimSeen(world.now(), 0, { owner: "b", epoch: 2, watermark: undefined }, 9);
    const silence = world.pass(6_000);
    expect(silence.some((effect) => effect.kind === "read-last-tick" && effect.ticker === "b")).toBe(true);
    expect(silence.some((effect) => effect.kind === "write-claim")).toBe(false);
    world.core.lastTickRead(world.now(), "b", undefined);
    expect(world.pass(250).some((effect) => effect.kind === "write-claim")).toBe(true);
  });

  it("goes on from now when the wall clock is set back by more than a minute, says so once, and marks what may repeat", () => {
    const world = alone();
    world.pass(3_000);
    world.setClock(-3_600_000);
    const after = world.pass(2_000);
    const seconds = dueSeconds(after);
    // The job took effect in what is the future now; it goes on all the same.
    expect(seconds).toEqual([-2_597, -2_596, -2_595, -2_594]);
    expect(after.filter((effect) => effect.kind === "publish-due").every(({ mayRepeat }) => mayRepeat)).toBe(true);
    const notices = after.flatMap((effect) => (effect.kind === "notice" ? [effect.notice.event] : []));
    expect(notices).toEqual(["timetable_was_ahead"]);
    expect(world.core.status().lowestWatermark).toBe(seconds.at(-1));
  });

  it("waits for the wall clock when it is set back by less, and repeats nothing", () => {
    const world = alone();
    world.pass(3_000);
    const { highestSecond } = world.core.status();
    world.setClock(-30_000);
    expect(dueSeconds(world.pass(29_000))).toEqual([]);
    expect(world.core.status().highestSecond).toBe(highestSecond);
    expect(dueSeconds(world.pass(3_000))).toEqual([1_005, 1_006]);
  });

  it("claims again what it holds when the claims are lost, and publishes on meanwhile", () => {
    const world = alone();
    world.pass(2_000);
    world.core.claimsReset();
    expect(dueSeconds(world.pass(1_000))).toEqual([1_004]);
    world.core.claimsComplete(world.now());
    const after = world.pass(250);
    const [claim] = [...world.seen, ...after].filter((effect) => effect.kind === "write-claim");
    expect(claim).toMatchObject({ partition: 0, revision: 0, claim: { owner: "a", epoch: 1 } });
    expect(world.core.status()).toMatchObject({ owned: 1, loaded: 1, informed: true });
  });

  it("publishes the last minute again when DUE was lost", () => {
    const world = alone();
    world.pass(90_000);
    const horizon = world.core.status().highestSecond ?? 0;
    world.seen.length = 0;
    world.core.dueReplaced(world.now());
    world.answer({ ticks: true });
    const again = world.seen.filter((effect) => effect.kind === "publish-due");
    expect(again.map(({ second }) => second)).toEqual(Array.from({ length: 61 }, (_, i) => horizon - 60 + i));
    expect(again.every(({ mayRepeat }) => mayRepeat)).toBe(true);
  });

  it("takes a new stream of jobs for filled when nothing has come for a while, not when it stood still", () => {
    const world = alone();
    world.core.jobsOpened(world.now(), world.followId, startMs - 86_400_000);
    world.pass(250);
    world.core.jobsOpened(world.now(), world.followId, world.now().wallMs);
    const gone = { kind: "gone", jobId: "another" } as const;
    // Reached the end of what is there: it is only being filled.
    world.core.jobsComplete(world.now(), world.followId);
    world.pass(20_000);
    expect(world.core.status().jobs).toBe(1);
    world.core.jobChanged(world.now(), world.followId, 0, 1, gone);
    world.core.jobsComplete(world.now(), world.followId);
    world.jumpMs(60_000);
    expect(world.core.status().jobs).toBe(1);
    world.pass(14_000, { ticks: true });
    expect(world.core.status().jobs).toBe(1);
    world.pass(2_000);
    expect(world.core.status().jobs).toBe(0);
  });
});
