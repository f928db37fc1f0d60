import { describe, expect, it } from "vitest";
import { parseRetryAfterMs, retryWaitMs } from "./backoff.ts";

const policy = { minBackoffMs: 1_000, maxBackoffMs: 5_000 };
const almostOne = () => 0.999_999;

describe("retryWaitMs", () => {
  it("doubles the span with each failed attempt, up to the longest", () => {
    const waits = [1, 2, 3, 4, 20].map((attempt) => retryWaitMs(policy, attempt, almostOne));
    expect(waits).toEqual([999, 1_999, 3_999, 4_999, 4_999]);
  });

  it("spreads waits over the whole span", () => {
    expect(retryWaitMs(policy, 1, () => 0)).toBe(0);
    expect(retryWaitMs(policy, 1, () => 0.5)).toBe(500);
  });

  it("does not wait when the policy's spans are zero", () => {
    expect(retryWaitMs({ minBackoffMs: 0, maxBackoffMs: 0 }, 20, almostOne)).toBe(0);
  });

  it("waits at least as long as the target asked for, and never more than a day", () => {
    expect(retryWaitMs(policy, 1, () => 0, 30_000)).toBe(30_000);
    expect(retryWaitMs(policy, 3, almostOne, 10)).toBe(3_999);
    expect(retryWaitMs(policy, 1, () => 0, 10 ** 12)).toBe(86_400_000);
  });
});

describe("parseRetryAfterMs", () => {
  const nowMs = Date.parse("2026-11-23T12:00:00Z");

  it("reads seconds and dates", () => {
    expect(parseRetryAfterMs("120", nowMs)).toBe(120_000);
    expect(parseRetryAfterMs(" 0 ", nowMs)).toBe(0);
    expect(parseRetryAfterMs("Mon, 23 Nov 2026 12:00:07 GMT", nowMs)).toBe(7_000);
  });

  it("cuts a wish of any length to a day", () => {
    const long = ["86401", "9".repeat(10), "9".repeat(11), "9".repeat(400), "Mon, 23 Nov 2099 12:00:00 GMT"];
    for (const value of long) expect(parseRetryAfterMs(value, nowMs)).toBe(86_400_000);
  });

  it("takes a date that is past, and nonsense, for no wish", () => {
    expect(parseRetryAfterMs("Mon, 23 Nov 2026 11:00:00 GMT", nowMs)).toBe(0);
    for (const value of ["", "-5", "1.5", "soon", "2026-12-01"]) {
      expect(parseRetryAfterMs(value, nowMs)).toBe(0);
    }
  });
});
