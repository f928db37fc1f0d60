import { describe, expect, it } from "vitest";
import { DueWindow } from "./due-window.ts";
import { Effects } from "./effects.ts";
import { OwnedPartition } from "./owned-partition.ts";
import { defaultTickerSettings } from "./ticker-settings.ts";

const everySecond = { key: "every-1", nextAfter: (second: number) => second + 1 };
const at = (monotonicMs: number) => ({ wallMs: 0, monotonicMs });

/** A window over partitions with a job each, whose watermarks are given. */
function windowOver(watermarks: readonly number[], bounds = {}) {
  const limits = { entries: 100, bytes: 1_000_000 };
  const partitions = watermarks.length;
  const settings = { ...defaultTickerSettings, ticker: "a", partitions, limits, ...bounds };
  const effects = new Effects();
  const owned = new Map<number, OwnedPartition>();
  for (const [partition, second] of watermarks.entries()) {
    const holding = new OwnedPartition(
      partition,
      { owner: "a", epoch: 3, watermark: { second, jobsSequence: 9 } },
      100,
      settings,
    );
    const job = { jobId: `job-${partition}`, entry: new Uint8Array(10), generation: 1, timingGeneration: 1 };
    holding.change(
      {
        kind: "active",
        ...job,
        effectiveFromMs: 0,
        timingSequence: 1,
        occurrences: everySecond,
        earlier: [],
        pausedGeneration: 0,
      },
      1,
    );
    holding.reachedEnd();
    owned.set(partition, holding);
  }
  const window = new DueWindow(settings, owned, effects);
  const taken = () => effects.take().flatMap((effect) => (effect.kind === "publish-due" ? [effect] : []));
  return { window, owned, taken, effects };
}

describe("the window of due messages", () => {
  it("publishes the oldest second first, over all partitions", () => {
    const { window, taken } = windowOver([102, 100, 101]);
    window.publish(103);
    expect(taken().map(({ partition, second }) => [second, partition])).toEqual([
      [101, 1],
      [102, 1],
      [102, 2],
      [103, 0],
      [103, 1],
      [103, 2],
    ]);
  });

  it("holds no more messages than its bound, and goes on as they are acknowledged", () => {
    const { window, taken, owned } = windowOver([100], { maxOutstanding: 2 });
    window.publish(104);
    const [first] = taken();
    expect([window.outstanding, owned.get(0)?.horizon]).toEqual([2, 102]);
    window.answered(at(0), first?.id ?? 0, true);
    window.publish(104);
    expect([window.outstanding, taken().map(({ second }) => second)]).toEqual([2, [103]]);
    expect(owned.get(0)?.watermark?.second).toBe(101);
  });

  it("holds no more bytes than its bound, but for the message that reaches it", () => {
    const { window, taken } = windowOver([100], { maxOutstandingBytes: 20 });
    window.publish(104);
    const [first, second] = taken();
    expect(window.outstanding).toBe(2);
    for (const message of [first, second]) window.answered(at(0), message?.id ?? 0, true);
    window.publish(104);
    expect(taken().map((message) => message.second)).toEqual([103, 104]);
  });

  it("publishes a refused message again after a second, the same, and keeps the watermark before it until then", () => {
    const { window, taken, effects, owned } = windowOver([100]);
    window.publish(101);
    const [message] = taken();
    const id = message?.id ?? 0;
    window.answered(at(5_000), id, false);
    expect(effects.take()).toEqual([
      { kind: "notice", notice: { event: "due_publish_refused", partition: 0, second: 101 } },
    ]);
    window.retryRefused(at(5_999));
    expect([taken(), window.outstanding, owned.get(0)?.watermark?.second]).toEqual([[], 1, 100]);
    window.retryRefused(at(6_000));
    expect(taken()).toEqual([message]);
    window.retryRefused(at(9_000));
    expect(taken()).toEqual([]);
    window.answered(at(9_000), id, true);
    expect([window.outstanding, owned.get(0)?.watermark?.second]).toEqual([0, 101]);
  });

  it("lets go of a refused message whose partition is another's by now: its next owner publishes it", () => {
    const { window, taken, owned } = windowOver([100, 100], { maxOutstanding: 2 });
    window.publish(101);
    const messages = taken();
    for (const { id } of messages) window.answered(at(0), id, false);
    owned.delete(0);
    window.retryRefused(at(1_000));
    expect(taken().map(({ partition }) => partition)).toEqual([1]);
    expect(window.outstanding).toBe(1);
  });

  it("takes an answer once", () => {
    const { window, taken, owned } = windowOver([100]);
    window.publish(102);
    const [first] = taken();
    for (let times = 0; times < 2; times++) window.answered(at(0), first?.id ?? 0, true);
    expect([window.outstanding, owned.get(0)?.watermark?.second]).toEqual([1, 101]);
  });

  it("passes seconds in which nothing is due", () => {
    const { window, owned, taken } = windowOver([100, 100]);
    owned.get(1)?.change({ kind: "gone", jobId: "job-1" }, 2);
    window.publish(102);
    expect(taken().every(({ partition }) => partition === 0)).toBe(true);
    expect(owned.get(1)?.watermark?.second).toBe(102);
  });

  it("says whose message it is, and marks what may be a repeat", () => {
    const { window, taken } = windowOver([100]);
    window.publish(106);
    const messages = taken();
    expect(messages[0]).toMatchObject({
      partition: 0,
      epoch: 3,
      second: 101,
    });
    // An owner before may have come five seconds further than it said.
    expect(messages.map(({ mayRepeat }) => mayRepeat)).toEqual([true, true, true, true, true, false]);
  });
});
