import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ExecutionStatus, ExecutionTrigger } from "../../../../gen/carillon/v1/execution_pb.ts";
import { jobNamed } from "../../../../test/support/job-ids.ts";
import { openSqlite, type Sqlite } from "../../../platform/sql/sqlite.ts";
import { begin, type ExecutionRecord } from "../../records/execution-record.ts";
import { createJobKeys } from "./job-keys.ts";
import { migrations } from "./schema.ts";
import { createSegments, type Segments } from "./segments.ts";

const job = jobNamed("job");
const noon = 1_764_000_000;
const recordOf = (offset: number): ExecutionRecord =>
  begin({
    jobId: job,
    second: noon + offset,
    run: "",
    attempt: 1,
    status: ExecutionStatus.SUCCESS,
    final: true,
    sentAtMs: 0,
    durationMs: 1,
    httpStatus: 200,
    reason: "",
    message: "",
    trigger: ExecutionTrigger.SCHEDULE,
  });

describe("the segments of a history file", () => {
  let folder: string;
  let db: Sqlite;
  let segments: Segments;
  let jobKey: number;

  const open = () => {
    db = openSqlite(join(folder, "history.db"), migrations);
    const keys = createJobKeys(db);
    segments = createSegments(db, keys, 10);
    jobKey = keys.obtain(job, segments.open.number);
  };
  const reopen = () => {
    db.close();
    open();
  };
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "carillon-history-"));
    open();
  });
  afterEach(() => {
    db.close();
    rmSync(folder, { recursive: true });
  });

  const add = (...offsets: number[]) => {
    for (const offset of offsets) {
      segments.rollOver();
      const record = recordOf(offset);
      expect(segments.open.insert(jobKey, record)).toBe(true);
      segments.openIndex.add(jobKey, record);
    }
  };
  const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);
  const offsetsOf = (records: readonly ExecutionRecord[]) => records.map(({ second }) => second - noon);
  const rowCounts = () =>
    tablesLike("executions_%").map((table) => db.prepare(`select count(*) from ${table}`).pluck().get());
  const tablesLike = (pattern: string) =>
    db
      .prepare("select name from sqlite_schema where type = 'table' and name like ? order by name")
      .pluck()
      .all(pattern);

  it("roll over when one is full, and are the same after a restart", () => {
    add(...range(0, 35));
    expect(rowCounts()).toEqual([10, 10, 10, 5]);
    expect(segments.openIndex.rowCount).toBe(5);
    reopen();
    expect(segments.openIndex.rowCount).toBe(5);
    expect(offsetsOf(segments.list(jobKey, job, 50))).toEqual(range(0, 35).reverse());
    add(...range(35, 42));
    expect(rowCounts()).toEqual([10, 10, 10, 10, 2]);
  });

  it("have an index by job once they are sealed, and read by it", () => {
    add(...range(0, 25));
    const indexes = db.prepare("select name from sqlite_schema where name like '%_by_job' order by name").pluck();
    expect(indexes.all()).toEqual(["executions_1_by_job", "executions_2_by_job"]);
    const plan = db.prepare(
      "explain query plan select * from executions_1 where job_key = 1 and (second, run) < (5, '') order by second desc, run desc",
    );
    expect(JSON.stringify(plan.all())).toMatch(/SEARCH executions_1 USING INDEX executions_1_by_job/);
    expect(JSON.stringify(plan.all())).not.toMatch(/TEMP B-TREE/);
  });

  it("are found by position in whichever they lie", () => {
    add(...range(0, 25));
    const holding = (offset: number) => segments.holding(jobKey, { second: noon + offset, run: "" })?.number;
    expect([0, 9, 10, 19, 20, 24, 25].map(holding)).toEqual([1, 1, 2, 2, 3, 3, undefined]);
    expect(segments.sealedHolding(jobKey, { second: noon + 24, run: "" })).toBeUndefined();
  });

  it("are dropped whole and one at a time, the oldest first, and never the open one", () => {
    // The second one has also what is older than the first.
    add(...range(0, 15), -50, ...range(15, 30));
    expect(segments.dropOldest(noon + 9)).toBe(0);
    expect(segments.dropOldest(noon + 1_000)).toBe(10);
    expect(tablesLike("%_1")).toEqual([]);
    expect(offsetsOf(segments.list(jobKey, job, 50))).toEqual([...range(10, 30).reverse(), -50]);
    expect(segments.dropOldest(noon + 1_000)).toBe(10);
    reopen();
    expect(segments.dropOldest(noon + 19)).toBe(0);
    expect(segments.dropOldest(noon + 1_000)).toBe(10);
    expect(segments.dropOldest(noon + 1_000)).toBe(0);
    expect(rowCounts()).toEqual([1]);
    expect(offsetsOf(segments.list(jobKey, job, 50))).toEqual([29]);
  });

  it("take with them where their manual runs were", () => {
    add(0);
    segments.noteManual(jobKey, { second: noon, run: "m1" });
    add(...range(1, 10));
    add(10);
    segments.noteManual(jobKey, { second: noon + 10, run: "m2" });
    segments.dropOldest(noon + 1_000);
    expect([segments.secondOfManual(jobKey, "m1"), segments.secondOfManual(jobKey, "m2")]).toEqual([
      undefined,
      noon + 10,
    ]);
  });
});
