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
