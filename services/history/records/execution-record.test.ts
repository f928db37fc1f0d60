import { describe, expect, it } from "vitest";
import { ExecutionStatus, ExecutionTrigger } from "../../../gen/carillon/v1/execution_pb.ts";
import { jobNamed } from "../../../test/support/job-ids.ts";
import type { AttemptResult } from "../../wire/attempt-result.ts";
import { amend, begin, type ExecutionRecord } from "./execution-record.ts";

const { SUCCESS, FAILED, RETRYING, SKIPPED_PAUSED, SKIPPED_SUPERSEDED } = ExecutionStatus;

const failed = (attempt: number, changes: Partial<AttemptResult> = {}): AttemptResult => ({
  jobId: jobNamed("job"),
  second: 1_764_000_000,
  run: "",
  attempt,
  status: FAILED,
  final: false,
  sentAtMs: 1_000 * attempt,
  durationMs: 10 * attempt,
  httpStatus: 500 + attempt,
  reason: "HTTP_STATUS",
  message: `the target answered ${500 + attempt}`,
  retryAtMs: 0,
  trigger: ExecutionTrigger.SCHEDULE,
  ...changes,
});
const skip = (changes: Partial<AttemptResult> = {}): AttemptResult =>
  failed(0, {
    status: SKIPPED_PAUSED,
    final: true,
    sentAtMs: 99_000,
    httpStatus: 0,
    reason: "JOB_PAUSED",
    message: "the job was paused before it started",
    ...changes,
  });
const deleted = skip({ reason: "JOB_DELETED", message: "the job was deleted before it started" });
const changed = skip({ status: SKIPPED_SUPERSEDED, reason: "JOB_CHANGED" });
const succeeded = (attempt: number) =>
  failed(attempt, { status: SUCCESS, final: true, httpStatus: 200, reason: "", message: "" });

function recordOf([first, ...others]: readonly AttemptResult[]): ExecutionRecord {
  if (!first) throw new Error("no result, no record");
  return others.reduce((record, result) => amend(record, result) ?? record, begin(first));
}

/** All orders of up to four results. */
function orders<T>(items: readonly T[]): T[][] {
  if (items.length <= 1) return [[...items]];
  return items.flatMap((item, i) => orders(items.toSpliced(i, 1)).map((rest) => [item, ...rest]));
}

describe("an execution that was started and whose job was paused before its retry", () => {
  it("has failed as its last attempt did, and says why there was no other", () => {
    const { attempts, ...record } = recordOf([failed(1), skip()]);
    expect(record).toMatchObject({
      status: FAILED,
      httpStatus: 501,
      durationMs: 10,
      sentAtMs: 1_000,
      reason: "HTTP_STATUS",
      message: "the target answered 501; not tried again, because the job was paused",
    });
    expect(attempts).toMatchObject([{ attempt: 1, status: FAILED, message: "the target answered 501" }]);
  });

  it("says so of a deleted job as well", () => {
    const message = "the target answered 501; not tried again, because the job was deleted";
    expect(recordOf([failed(1), deleted])).toMatchObject({ status: FAILED, message });
  });

  it("has one record, in whichever order its results come, and however often", () => {
    const expected = recordOf([failed(1), failed(2), skip()]);
    expect(expected).toMatchObject({ status: FAILED, httpStatus: 502, attempts: [{ attempt: 1 }, { attempt: 2 }] });
    for (const results of orders([failed(1), failed(2), skip()])) {
      expect(recordOf(results)).toEqual(expected);
      const record = recordOf(results);
      for (const again of results) expect(amend(record, again)).toBeUndefined();
    }
  });

  it("is decided by a final attempt all the same, whenever that comes", () => {
    const expected = recordOf([failed(1), succeeded(2)]);
    for (const results of orders([failed(1), succeeded(2), skip()])) expect(recordOf(results)).toEqual(expected);
  });

  it("ends with the first of two skips", () => {
    expect(recordOf([failed(1), skip(), deleted]).message).toContain("paused");
    expect(recordOf([deleted, failed(1), skip()]).message).toContain("deleted");
  });
});

describe("an execution that several final attempts claim", () => {
  it("stays as the first of them said, and keeps the others beside it", () => {
    const [first, second] = [succeeded(1), failed(2, { final: true })];
    const record = recordOf([first, second, succeeded(3)]);
    expect(record).toMatchObject({ status: SUCCESS, decidedBy: 1, sentAtMs: 1_000, httpStatus: 200 });
    expect(record.attempts.map(({ attempt }) => attempt)).toEqual([1, 2, 3]);
    expect(amend(record, failed(1, { final: true }))).toBeUndefined();
    expect(recordOf([second, first])).toMatchObject({ status: FAILED, decidedBy: 2 });
  });
});

describe("an execution that failed for good and is redriven", () => {
  const before = [failed(1), failed(2, { final: true })];

  it("stays as it failed until the new set of attempts has an end", () => {
    expect(recordOf([...before, failed(3)])).toMatchObject({
      status: FAILED,
      decidedBy: 2,
      httpStatus: 502,
      attempts: [{ attempt: 1 }, { attempt: 2 }, { attempt: 3 }],
    });
  });

  it("succeeds with the attempt that does, behind the old ones, in whichever order their results come", () => {
    for (const results of orders([...before, failed(3), succeeded(4)])) {
      const { attempts, ...record } = recordOf(results);
      expect(record).toMatchObject({ status: SUCCESS, decidedBy: 4, httpStatus: 200, reason: "", message: "" });
      expect(attempts.map(({ attempt }) => attempt)).toEqual([1, 2, 3, 4]);
      for (const again of results) expect(amend(recordOf(results), again)).toBeUndefined();
    }
  });

  it("fails once more as the last attempt did", () => {
    for (const results of orders([...before, failed(3), failed(4, { final: true })])) {
      expect(recordOf(results)).toMatchObject({ status: FAILED, decidedBy: 4, httpStatus: 504 });
      for (const again of results) expect(amend(recordOf(results), again)).toBeUndefined();
    }
  });

  it("is not failed by a skip in place of an attempt", () => {
    const record = recordOf([...before, failed(3)]);
    expect(amend(record, skip())).toBeUndefined();
  });
});

describe("a skip", () => {
  it("stays one when no call was made", () => {
    expect(recordOf([skip()])).toMatchObject({ status: SKIPPED_PAUSED, reason: "JOB_PAUSED", attempts: [] });
  });

  it("of an older timing says nothing of the calls that the newer one makes on the same second", () => {
    for (const results of orders([changed, failed(1)])) {
      expect(recordOf(results)).toMatchObject({ status: SKIPPED_SUPERSEDED, attempts: [{ attempt: 1 }] });
    }
    expect(recordOf([changed, failed(1), succeeded(2)])).toMatchObject({ status: SUCCESS });
    expect(recordOf([changed, failed(1), skip()])).toMatchObject({ status: FAILED, httpStatus: 501 });
  });

  it("that never comes leaves the execution waiting for its retry", () => {
    expect(recordOf([failed(1)])).toMatchObject({ status: RETRYING, httpStatus: 501 });
  });
});
