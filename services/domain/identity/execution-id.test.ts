import { describe, expect, it } from "vitest";
import { executionIdOf, manualExecutionId, newManualRun, parseExecutionId } from "./execution-id.ts";
import { partitionCount, partitionOf } from "./partition.ts";

const jobId = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f";

describe("an execution id", () => {
  it("names an occurrence alike whoever makes it, and comes apart again", () => {
    expect(executionIdOf(jobId, 1_764_000_000)).toBe(`${jobId}-1764000000`);
    expect(parseExecutionId(`${jobId}-1764000000`)).toEqual({ jobId, kind: "occurrence", second: 1_764_000_000 });
  });

  it("tells a manual run from an occurrence", () => {
    expect(parseExecutionId(manualExecutionId(jobId, "7kq2"))).toEqual({ jobId, kind: "manual", unique: "7kq2" });
  });

  it("of a manual run is one of its own each time", () => {
    const ids = Array.from({ length: 1_000 }, () => manualExecutionId(jobId, newManualRun(Math.random)));
    expect(new Set(ids).size).toBe(1_000);
    for (const id of ids) expect(parseExecutionId(id)?.kind).toBe("manual");
  });

  it.each([
    "",
    jobId,
    `${jobId}-`,
    `${jobId}-x1`,
    `${jobId}-m`,
    `${jobId}-1-2`,
    `${jobId}1`,
    `${jobId}-1234567890123`,
    `${jobId.toUpperCase()}-1`,
    `${jobId.replace("-7cc3", "-4cc3")}-1`,
    `${jobId}-1\n`,
    "a-1",
    "a.b-1",
  ])("%j is none", (id) => expect(parseExecutionId(id)).toBeUndefined());
});

describe("the partition of a job", () => {
  it("never changes: stored subjects depend on it", () => {
    expect([jobId, "a", ""].map(partitionOf)).toEqual([partitionOf(jobId), 0xe40c292c % 64, 0x811c9dc5 % 64]);
  });

  it("spreads ids that differ in little", () => {
    const counts = new Array<number>(partitionCount).fill(0);
    for (let i = 0; i < 64_000; i++) {
      const partition = partitionOf(jobId.slice(0, 28) + i.toString(16).padStart(8, "0"));
      counts[partition] = (counts[partition] ?? 0) + 1;
    }
    expect(Math.min(...counts)).toBeGreaterThan(800);
    expect(Math.max(...counts)).toBeLessThan(1_200);
  });
});
