import { describe, expect, it } from "vitest";
import { BacklogPace } from "./backlog-pace.ts";

/** How many attempts come within so many milliseconds, in messages of a hundred, asked for all the time. */
function takenIn(pace: BacklogPace, fromMs: number, untilMs: number): number {
  let taken = 0;
  for (let ms = fromMs; ms < untilMs; ms++) {
    while (pace.allows(ms, ms)) {
      pace.took(100);
      taken += 100;
    }
  }
  return taken;
}

describe("the pace of a backlog", () => {
  it("is a sixth at the start of each second of what it is afterwards", () => {
    const pace = new BacklogPace();
    takenIn(pace, 999, 1_000);
    expect(takenIn(pace, 1_000, 1_200) / 200).toBeCloseTo(10, -1);
    expect(takenIn(pace, 1_200, 2_000) / 800).toBeCloseTo(60, -1);
  });

  it("takes at once no more than what has gathered in some milliseconds, however long nobody asked", () => {
    const pace = new BacklogPace();
    expect(takenIn(pace, 500, 501)).toBe(1_200);
    expect(takenIn(pace, 90_500, 90_501)).toBe(1_200);
    expect(takenIn(pace, 100_000, 100_001)).toBeLessThanOrEqual(200);
  });

  it("waits for what a large message took beyond it", () => {
    const pace = new BacklogPace();
    expect(pace.allows(500, 500)).toBe(true);
    pace.took(1_200 + 600);
    expect(pace.allows(509, 509)).toBe(false);
    expect(pace.allows(511, 511)).toBe(true);
  });
});
