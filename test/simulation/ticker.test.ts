import { describe, expect, it } from "vitest";
import { runScenario } from "./scenario.ts";

// A fixed set, so that a green run stays green; `node test/simulation/main.ts 100000 50000` goes looking for more.
const seeds = 1_200;

describe("tickers in a simulated world", () => {
  it("have each occurrence called, and none that is forbidden, through edits, pauses, crashes, lost messages and streams, clocks that are set, and take-overs", () => {
    const failed: string[] = [];
    const changes = { edits: 0, pauses: 0, deletions: 0 };
    let published = 0;
    let repeats = 0;
    for (let seed = 1; seed <= seeds; seed++) {
      const report = runScenario(seed);
      if (!report.upset) {
        published += report.published;
        repeats += report.repeats;
      }
      for (const kind of ["edits", "pauses", "deletions"] as const) changes[kind] += report.changes[kind];
      if (report.failures.length > 0) failed.push(`seed ${seed} (${report.weather}): ${report.failures.join("; ")}`);
    }
    // Each line can be run again: node test/simulation/main.ts <seed>
    expect(failed).toEqual([]);
    expect(published).toBeGreaterThan(30 * seeds);
    expect(changes.edits).toBeGreaterThan(10_000);
    expect(changes.pauses).toBeGreaterThan(1_000);
    expect(changes.deletions).toBeGreaterThan(500);
    expect(repeats / published).toBeLessThan(0.01);
  }, 120_000);
});
