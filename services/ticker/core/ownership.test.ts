import { describe, expect, it } from "vitest";
import { Ownership } from "./ownership.ts";
import { defaultTickerSettings } from "./ticker-settings.ts";

const at = (monotonicMs: number) => ({ wallMs: 1_000_000_000_000, monotonicMs });
const silentMs = defaultTickerSettings.deadAfterMs;

/** Ticker a beside a live ticker b, with two partitions: a has its share, and partition 1 is free. */
function beside() {
  const limits = { entries: 100, bytes: 1_000 };
  const ownership = new Ownership({ ...defaultTickerSettings, ticker: "a", partitions: 2, limits });
  let sequence = 0;
  const hear = (monotonicMs: number) => {
    sequence++;
    ownership.learnTick(at(monotonicMs), { ticker: "b", second: 0, live: true, partitions: [] }, sequence, false);
  };
  const moves = (monotonicMs: number) => {
    hear(monotonicMs);
    const has = { owned: [0], releasing: new Set<number>(), pending: new Set<number>() };
    return ownership.moves(at(monotonicMs), has).map(({ kind }) => kind);
  };
  return { ownership, moves };
}

describe("a partition beyond the share", () => {
  it("is taken once nobody else has for as long as a dead ticker is waited for", () => {
    const { ownership, moves } = beside();
    ownership.watch(at(0));
    expect(moves(100)).toEqual([]);
    expect(moves(100 + silentMs - 1)).toEqual([]);
    expect(moves(100 + silentMs)).toEqual(["take"]);
  });

  it("is waited for anew after a reconnection: nobody watched meanwhile", () => {
    const { ownership, moves } = beside();
    ownership.watch(at(0));
    expect(moves(100)).toEqual([]);
    ownership.unwatch();
    ownership.watch(at(10_000));
    expect(moves(10_100)).toEqual([]);
    expect(moves(10_100 + silentMs)).toEqual(["take"]);
  });
});

describe("a ticker that falls silent", () => {
  it("is asked about again when it was heard after the last time, since its watermarks are others by now", () => {
    const limits = { entries: 100, bytes: 1_000 };
    const ownership = new Ownership({ ...defaultTickerSettings, ticker: "a", partitions: 1, limits });
    const tick = { ticker: "b", second: 0, live: true, partitions: [] };
    const has = { owned: [], releasing: new Set<number>(), pending: new Set<number>() };
    const moves = (monotonicMs: number) => ownership.moves(at(monotonicMs), has).map(({ kind }) => kind);
    const claim = { owner: "b", epoch: 1, watermark: undefined };
    ownership.learnClaim(0, { claim, revision: 1 }, false);
    ownership.learnTick(at(0), tick, 1, true);
    ownership.watch(at(0));
    expect(moves(silentMs)).toEqual(["ask"]);
    ownership.verify(at(silentMs), "b", { tick, sequence: 1 });
    expect(moves(silentMs)).toEqual(["take"]);
    ownership.learnTick(at(silentMs), { ...tick, second: 1 }, 2, false);
    expect(moves(silentMs)).toEqual([]);
    expect(moves(3 * silentMs)).toEqual(["ask"]);
  });
});

describe("what a ticker that is gone has left", () => {
  const gone = defaultTickerSettings.forgetAfterMs;
  const limits = { entries: 100, bytes: 1_000 };
  const mark = (second: number) => ({ second, jobsSequence: 0 });
  const says = (ticker: string, second: number, partitions: number[], live = true) => ({
    ticker,
    second,
    live,
    partitions: partitions.map((partition) => ({ partition, epoch: 1, watermark: mark(second), published: 0 })),
  });

  /** Ticker a, which has both partitions since second 100, after one of another that is silent since its last tick. */
  function remainsOf(last: ReturnType<typeof says>) {
    const ownership = new Ownership({ ...defaultTickerSettings, ticker: "a", partitions: 2, limits });
    const claim = (partition: number, owner: string, second: number, revision: number) =>
      ownership.learnClaim(partition, { claim: { owner, epoch: 2, watermark: mark(second) }, revision }, false);
    let sequence = 7;
    const hear = (atMs: number, tick: ReturnType<typeof says>) =>
      ownership.learnTick(at(atMs), tick, ++sequence, false);
    ownership.watch(at(0));
    ownership.learnTick(at(0), last, 7, false);
    claim(0, "a", 100, 1);
    claim(1, "a", 100, 2);
    hear(gone, says("a", 160, [0, 1]));
    return { ownership, claim, hear };
  }

  it("is removed, up to its last tick, once another has each of its partitions and is as far", () => {
    const { ownership } = remainsOf(says("b", 100, [0, 1]));
    expect(ownership.leftOvers(at(gone))).toEqual([{ ticker: "b", sequence: 7 }]);
  });

  it("stays while it may come back as it was", () => {
    const { ownership } = remainsOf(says("b", 100, [0, 1]));
    expect(ownership.leftOvers(at(gone - 1))).toEqual([]);
  });

  it.each([
    [
      "one of its partitions still stands in its name",
      (rig: ReturnType<typeof remainsOf>) => rig.claim(1, "b", 100, 9),
    ],
    ["one of its partitions was given back", (rig: ReturnType<typeof remainsOf>) => rig.claim(1, "", 100, 9)],
    ["who took one over is silent", (rig: ReturnType<typeof remainsOf>) => rig.claim(1, "c", 200, 9)],
    ["nobody knows the claims", (rig: ReturnType<typeof remainsOf>) => rig.ownership.forgetClaims()],
    ["nobody watches", (rig: ReturnType<typeof remainsOf>) => rig.ownership.unwatch()],
  ])("stays while %s", (_, change) => {
    const rig = remainsOf(says("b", 100, [0, 1]));
    change(rig);
    expect(rig.ownership.leftOvers(at(gone))).toEqual([]);
  });

  it("stays until its successor has published what it had published already", () => {
    const { ownership, hear } = remainsOf(says("b", 165, [1]));
    expect(ownership.leftOvers(at(gone))).toEqual([]);
    hear(gone + 6_000, says("a", 165, [0, 1]));
    expect(ownership.leftOvers(at(gone + 6_000))).toHaveLength(1);
  });

  it("goes also where the ticks of its successor name none of its partitions yet, and the claim does", () => {
    const { ownership, hear } = remainsOf(says("b", 100, [0, 1]));
    hear(gone, says("a", 161, []));
    expect(ownership.leftOvers(at(gone))).toHaveLength(1);
  });

  it("is not counted again once the stream has it no more, and is kept while the stream has a later tick", () => {
    const { ownership, hear } = remainsOf(says("b", 100, [0, 1], false));
    ownership.verify(at(gone), "b", { tick: says("b", 100, [0, 1]), sequence: 7 });
    expect(ownership.leftOvers(at(gone))).toHaveLength(1);
    hear(2 * gone, says("a", 220, [0, 1]));
    expect(ownership.leftOvers(at(2 * gone))).toHaveLength(1);
    ownership.verify(at(2 * gone), "b", undefined);
    hear(3 * gone, says("a", 280, [0, 1]));
    expect(ownership.leftOvers(at(3 * gone))).toEqual([]);
  });
});
