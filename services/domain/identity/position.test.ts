import { describe, expect, it } from "vitest";
import { executionIdOf, manualExecutionId } from "./execution-id.ts";
import { executionIdAt, manualRunOf, runOf, runOfManual } from "./position.ts";

const jobId = "0199c0de-0000-7000-8000-000000000001";
const otherJobId = "0199c0de-0000-7000-8000-000000000002";

describe("the position of an execution", () => {
  it("comes from its id and leads back to it", () => {
    const occurrence = executionIdOf(jobId, 1_764_000_000);
    expect(runOf(occurrence, jobId, 1_764_000_000)).toBe("");
    expect(executionIdAt(jobId, { second: 1_764_000_000, run: "" })).toBe(occurrence);
    const manual = manualExecutionId(jobId, "7kq2");
    expect(runOf(manual, jobId, 5)).toBe(runOfManual("7kq2"));
    expect(executionIdAt(jobId, { second: 5, run: runOfManual("7kq2") })).toBe(manual);
  });

  it("is not found for the id of another second, of another job, or of none", () => {
    for (const id of [executionIdOf(jobId, 6), executionIdOf(otherJobId, 5), manualExecutionId(otherJobId, "7"), ""]) {
      expect(runOf(id, jobId, 5), id).toBeUndefined();
    }
  });

  it("of a manual run is not that of an occurrence", () => {
    expect(manualRunOf(manualExecutionId(jobId, "7kq2"), jobId)).toBe("m7kq2");
    expect(manualRunOf(executionIdOf(jobId, 5), jobId)).toBeUndefined();
  });
});
