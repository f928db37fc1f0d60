import { describe, expect, it } from "vitest";
import { Timetable } from "./timetable.ts";
import { type Debt, TimingDebt } from "./timing-debt.ts";

const everySecond = { key: "every-1", nextAfter: (second: number) => second + 1 };
const watermark = { second: 10_000, jobsSequence: 50 };
const horizon = 10_010;
const nowMs = 10_010_000;
const lookbackSeconds = 3_600;

function debt(): TimingDebt {
  return new TimingDebt(watermark, watermark.second, lookbackSeconds);
}

function timing(timingSequence: number, effectiveFromMs: number, fields = {}) {
  return {
    kind: "active" as const,
    jobId: "job",
    entry: new Uint8Array(1),
    generation: 1,
    timingGeneration: 1,
    effectiveFromMs,
    timingSequence,
    occurrences: everySecond,
    earlier: [],
    pausedGeneration: 0,
    ...fields,
  };
}

describe("a timing owes", () => {
  it("what comes after the watermark when the owner before had seen it", () => {
    expect(debt().of(timing(50, 0), undefined, horizon, nowMs)).toMatchObject({
      effectiveFromMs: 0,
      owed: { afterMs: 10_000_000 },
      dropped: undefined,
    });
  });

  it("all since it took effect when the owner before had not seen it", () => {
    expect(debt().of(timing(51, 9_000_500), undefined, horizon, nowMs).owed.afterMs).toBe(9_000_500);
  });

  it("the last hour at most, and says what is given up", () => {
    expect(debt().of(timing(51, 1_000), undefined, horizon, nowMs)).toMatchObject({
      effectiveFromMs: 1_000,
      owed: { afterMs: 6_410_000 },
      dropped: { fromMs: 1_000, untilMs: 6_410_000 },
    });
  });

  it("and gives nothing up when nothing was due so far back", () => {
    const dropped = (first: number) => {
      const once = { key: "once", nextAfter: (second: number) => (second < first ? first : undefined) };
      return debt().of(timing(51, 1_000, { occurrences: once }), undefined, horizon, nowMs).dropped;
    };
    expect([dropped(6_410), dropped(6_411), dropped(0)]).toEqual([
      { fromMs: 1_000, untilMs: 6_410_000 },
      undefined,
      undefined,
    ]);
  });

  it("and gives nothing up when an earlier stream had it, so that it only looks new", () => {
    const replaced = debt();
    replaced.forgetSequences();
    expect(replaced.of(timing(1, 1_000), undefined, horizon, nowMs)).toMatchObject({
      owed: { afterMs: 6_410_000 },
      dropped: undefined,
    });
  });

  it("all since it took effect when JOBS is another stream, whatever its sequence", () => {
    const replaced = debt();
    replaced.forgetSequences();
    expect(replaced.of(timing(2, 9_000_500), undefined, horizon, nowMs).owed.afterMs).toBe(9_000_500);
  });

  it("what comes after the second to which its partition was rewound, if that is earlier", () => {
    const rewound = debt();
    rewound.rewind(9_990);
    rewound.rewind(9_995);
    expect(rewound.of(timing(50, 0), undefined, 9_990, nowMs).owed.afterMs).toBe(9_990_000);
  });

  it("what comes after now when a clock that ran ahead by over a minute wrote it", () => {
    const of = (sequence: number, effectiveFromMs: number) =>
      debt().of(timing(sequence, effectiveFromMs), undefined, horizon, nowMs);
    expect(of(51, nowMs + 60_000).effectiveFromMs).toBe(nowMs + 60_000);
    expect(of(51, nowMs + 60_001).effectiveFromMs).toBe(nowMs);
    // What of it is published stands in the watermark.
    expect(of(50, nowMs + 60_001)).toMatchObject({ effectiveFromMs: 10_000_000, owed: { afterMs: 10_000_000 } });
  });
});

describe("a job that was forgotten and comes after all owes", () => {
  const forgetful = () => {
    const replaced = debt();
    replaced.forgetSequences();
    replaced.forget("job", 1, 10_005);
    return replaced;
  };

  it("what comes after now when such a clock wrote it and there is no watermark: nothing says that any of it was published", () => {
    const first = new TimingDebt(undefined, horizon - lookbackSeconds, lookbackSeconds);
    first.rewind(9_999);
    expect(first.of(timing(7, nowMs + 60_001), undefined, 9_999, nowMs)).toMatchObject({
      effectiveFromMs: nowMs,
      owed: { afterMs: nowMs },
      dropped: undefined,
    });
  });

  it("what comes after it was forgotten, when its timing is the same", () => {
    expect(forgetful().of(timing(60, 0), undefined, horizon, nowMs)).toMatchObject({
      owed: { afterMs: 10_005_000 },
      dropped: undefined,
    });
    expect(forgetful().of(timing(60, 0), undefined, 10_001, nowMs).owed.afterMs).toBe(10_001_000);
  });

  it("all of another timing, and all again once it is remembered", () => {
    const owing = forgetful();
    expect(owing.of(timing(60, 9_000_500, { timingGeneration: 2 }), undefined, horizon, nowMs).owed.afterMs).toBe(
      9_000_500,
    );
    owing.remember("job");
    expect(owing.of(timing(60, 9_000_500), undefined, horizon, nowMs).owed.afterMs).toBe(9_000_500);
  });

  it("is expected for ten minutes", () => {
    const owing = forgetful();
    expect([owing.expectsForgotten(10_604), owing.expectsForgotten(10_605), owing.expectsForgotten(10_604)]).toEqual([
      true,
      false,
      false,
    ]);
    expect(debt().expectsForgotten(0)).toBe(false);
  });
});

describe("the timings before an edit owe", () => {
  const first = { timingGeneration: 1, effectiveFromMs: 9_000_500, untilMs: 10_006_500, timingSequence: 50 };
  const second = { timingGeneration: 2, effectiveFromMs: 10_006_500, untilMs: 10_009_500, timingSequence: 51 };
  const edited = (fields = {}) =>
    timing(51, 10_009_500, {
      timingGeneration: 3,
      earlier: [first, second].map((one) => ({ ...one, occurrences: everySecond })),
      ...fields,
    });
  const slotOf = (timingGeneration: number) => {
    const table = new Timetable(0);
    return table.put({ ...timing(50, 9_000_500), timingGeneration });
  };
  const owed = (of: Debt) => of.owed.ended.map(({ owedAfterMs, untilMs }) => [owedAfterMs, untilMs]);

  it("what the owner before had not published: all behind its watermark, or all that it had not seen", () => {
    expect(owed(debt().of(edited(), undefined, horizon, nowMs))).toEqual([
      [10_000_000, 10_006_500],
      [10_006_500, 10_009_500],
    ]);
  });

  it("what comes after the horizon, to a ticker that had the timing, and all of those between", () => {
    const { of, ended } = { of: debt().of(edited(), slotOf(1), 10_002, nowMs), ended: edited().earlier };
    expect(owed(of)).toEqual([
      [10_002_000, 10_006_500],
      [10_006_500, 10_009_500],
    ]);
    expect(of.owed.untilMs).toBe(10_006_500);
    expect(ended).toHaveLength(2);
  });

  it("nothing twice: those before the timing that a ticker has wait as they did", () => {
    const of = debt().of(edited(), slotOf(2), 10_008, nowMs);
    expect(owed(of)).toEqual([[10_008_000, 10_009_500]]);
    expect(of.owed.untilMs).toBe(10_009_500);
  });

  it("what is late up to where the next one began, when the slot's own had no time to be due itself", () => {
    expect(debt().of(edited(), slotOf(0), horizon, nowMs).owed.untilMs).toBe(9_000_500);
    expect(debt().of(edited({ earlier: [] }), slotOf(2), horizon, nowMs).owed.untilMs).toBe(10_009_500);
  });

  it("nothing that was late when there was a pause since", () => {
    const untilMs = (pausedGeneration: number) =>
      debt().of(edited({ earlier: [], pausedGeneration }), slotOf(2), horizon, nowMs).owed.untilMs;
    expect([untilMs(3), untilMs(2)]).toEqual([undefined, 10_009_500]);
  });

  it("what comes after a job was forgotten", () => {
    const owing = debt();
    owing.forgetSequences();
    owing.forget("job", 1, 10_003);
    expect(owed(owing.of(edited(), undefined, horizon, nowMs))).toEqual([
      [10_003_000, 10_006_500],
      [10_006_500, 10_009_500],
    ]);
  });

  it("the last hour at most, and say what is given up", () => {
    const old = {
      timingGeneration: 1,
      effectiveFromMs: 1_000,
      untilMs: 6_000_000,
      timingSequence: 51,
      occurrences: everySecond,
    };
    const of = (untilMs: number) => debt().of(edited({ earlier: [{ ...old, untilMs }] }), undefined, horizon, nowMs);
    expect(of(6_000_000).dropped).toEqual({ fromMs: 1_000, untilMs: 6_000_000 });
    expect(of(7_000_000).dropped).toEqual({ fromMs: 1_000, untilMs: 6_410_000 });
    expect(owed(of(7_000_000))).toEqual([[6_410_000, 7_000_000]]);
    expect(of(1_500).dropped).toBeUndefined();
  });
});
