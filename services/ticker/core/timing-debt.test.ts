import { describe, expect, it } from "vitest";
import { TimingDebt } from "./timing-debt.ts";

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
    ...fields,
  };
}

describe("a timing owes", () => {
  it("what comes after the watermark when the owner before had seen it", () => {
    expect(debt().of(timing(50, 0), horizon, nowMs)).toEqual({
      effectiveFromMs: 0,
      owedAfterMs: 10_000_000,
      dropped: undefined,
    });
  });

  it("all since it took effect when the owner before had not seen it", () => {
    expect(debt().of(timing(51, 9_000_500), horizon, nowMs).owedAfterMs).toBe(9_000_500);
  });

  it("the last hour at most, and says what is given up", () => {
    expect(debt().of(timing(51, 1_000), horizon, nowMs)).toEqual({
      effectiveFromMs: 1_000,
      owedAfterMs: 6_410_000,
      dropped: { fromMs: 1_000, untilMs: 6_410_000 },
    });
  });

  it("and gives nothing up when nothing was due so far back", () => {
    const dropped = (first: number) => {
      const once = { key: "once", nextAfter: (second: number) => (second < first ? first : undefined) };
      return debt().of(timing(51, 1_000, { occurrences: once }), horizon, nowMs).dropped;
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
    expect(replaced.of(timing(1, 1_000), horizon, nowMs)).toMatchObject({ owedAfterMs: 6_410_000, dropped: undefined });
  });

  it("all since it took effect when JOBS is another stream, whatever its sequence", () => {
    const replaced = debt();
    replaced.forgetSequences();
    expect(replaced.of(timing(2, 9_000_500), horizon, nowMs).owedAfterMs).toBe(9_000_500);
  });

  it("what comes after the second to which its partition was rewound, if that is earlier", () => {
    const rewound = debt();
    rewound.rewind(9_990);
    rewound.rewind(9_995);
    expect(rewound.of(timing(50, 0), 9_990, nowMs).owedAfterMs).toBe(9_990_000);
  });

  it("what comes after now when a clock that ran ahead by over a minute wrote it", () => {
    const of = (sequence: number, effectiveFromMs: number) =>
      debt().of(timing(sequence, effectiveFromMs), horizon, nowMs);
    expect(of(51, nowMs + 60_000).effectiveFromMs).toBe(nowMs + 60_000);
    expect(of(51, nowMs + 60_001).effectiveFromMs).toBe(nowMs);
    // What of it is published stands in the watermark.
    expect(of(50, nowMs + 60_001)).toMatchObject({ effectiveFromMs: 10_000_000, owedAfterMs: 10_000_000 });
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
    expect(first.of(timing(7, nowMs + 60_001), 9_999, nowMs)).toEqual({
      effectiveFromMs: nowMs,
      owedAfterMs: nowMs,
      dropped: undefined,
    });
  });

  it("what comes after it was forgotten, when its timing is the same", () => {
    expect(forgetful().of(timing(60, 0), horizon, nowMs)).toMatchObject({
      owedAfterMs: 10_005_000,
      dropped: undefined,
    });
    expect(forgetful().of(timing(60, 0), 10_001, nowMs).owedAfterMs).toBe(10_001_000);
  });

  it("all of another timing, and all again once it is remembered", () => {
    const owing = forgetful();
    expect(owing.of(timing(60, 9_000_500, { timingGeneration: 2 }), horizon, nowMs).owedAfterMs).toBe(9_000_500);
    owing.remember("job");
    expect(owing.of(timing(60, 9_000_500), horizon, nowMs).owedAfterMs).toBe(9_000_500);
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
