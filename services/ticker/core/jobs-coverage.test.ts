import { describe, expect, it } from "vitest";
import { JobsCoverage } from "./jobs-coverage.ts";

describe("the coverage of JOBS", () => {
  it("moves to the highest sequence that was read, and only when it is told to", () => {
    const coverage = new JobsCoverage();
    coverage.note("a", 7);
    coverage.note("b", 5);
    expect(coverage.coveredSequence).toBe(0);
    coverage.cover();
    expect(coverage.coveredSequence).toBe(7);
  });

  it("is not that of a filled stream from its opening on until it is told so", () => {
    const coverage = new JobsCoverage();
    expect(coverage.filled).toBe(true);
    coverage.opened();
    expect(coverage.filled).toBe(false);
    expect([...coverage.fill()]).toEqual([]);
    expect(coverage.filled).toBe(true);
  });

  it("begins again with a stream that replaces another, and tells which jobs that one did not bring", () => {
    const coverage = new JobsCoverage();
    coverage.note("a", 70);
    coverage.cover();
    coverage.replaced(["a", "b", "c"]);
    expect([coverage.coveredSequence, coverage.filled]).toEqual([0, false]);
    expect([coverage.note("a", 2), coverage.note("a", 3), coverage.note("new", 4)]).toEqual([true, false, false]);
    expect([...coverage.fill()]).toEqual(["b", "c"]);
    expect([...coverage.fill()]).toEqual([]);
    coverage.cover();
    expect(coverage.coveredSequence).toBe(4);
  });
});
