import { describe, expect, it } from "vitest";
import { executionIdOf, manualExecutionId, parseExecutionId } from "./execution-id.ts";
import { partitionCount, partitionOf } from "./partition.ts";

const jobId = "01kaw3v9j5x7s2d4f6g8h0m1n2";

describe("an execution id", () => {
  it("names an occurrence alike whoever makes it, and comes apart again", () => {
    expect(executionIdOf(jobId, 1_764_000_000)).toBe(`${jobId}-1764000000`);
    expect(parseExecutionId(`${jobId}-1764000000`)).toEqual({ jobId, kind: "occurrence", second: 1_764_000_000 });
  });

  it("tells a manual run from an occurrence", () => {
    expect(parseExecutionId(manualExecutionId(jobId, "7kq2"))).toEqual({ jobId, kind: "manual", unique: "7kq2" });
  });

  it.each(["", jobId, `${jobId}-`, `${jobId}-x1`, `${jobId}-m`, `${jobId}-1-2`, "A-1", "a.b-1"])("%j is none", (id) =>
    expect(parseExecutionId(id)).toBeUndefined());
});

describe("the partition of a job", () => {
  it("never changes: stored subjects depend on it", () => {
    expect([jobId, "a", ""].map(partitionOf)).toEqual([partitionOf(jobId), 0xe40c292c % 64, 0x811c9dc5 % 64]);
  });

  it("spreads ids that differ in little", () => {
    const counts = new Array<number>(partitionCount).fill(0);
    for (let i = 0; i < 64_000; i++) {
      const partition = partitionOf(`01kaw3v9j5x7s2d4f6${i.toString(32).padStart(8, "0")}`);
      counts[partition] = (counts[partition] ?? 0) + 1;
    }
    expect(Math.min(...counts)).toBeGreaterThan(800);
    expect(Math.max(...counts)).toBeLessThan(1_200);
  });
});
