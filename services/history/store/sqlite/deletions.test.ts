import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { ExecutionStatus } from "../../../../gen/carillon/v1/execution_pb.ts";
import { failed, job, noon, occurrence, otherJob, resultOf } from "../../../../test/support/history-results.ts";
import { jobNamed } from "../../../../test/support/job-ids.ts";
import { openSqlite } from "../../../platform/sql/sqlite.ts";
import type { HistoryStore } from "../contract.ts";
import { migrations } from "./schema.ts";
import { createSqliteHistoryStore } from "./sqlite-history-store.ts";

// What becomes of the executions is held to the contract in test/contract/history-store.deletions.ts.

let folder: string;
let store: HistoryStore;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "carillon-history-"));
});
afterEach(async () => {
  await store.stop();
  rmSync(folder, { recursive: true });
});

const open = async (segmentRows = 10) => {
  store = createSqliteHistoryStore({ folder, segmentRows });
  await store.start();
};
const forgetAll = async (before: number) => {
  for (let done = false; !done; ) ({ done } = await store.forget(before));
};
/** What another connection sees: a number. */
const ask = (sql: string) => {
  const db = openSqlite(join(folder, "history.db"), migrations);
  const answer = Number(db.prepare(sql).pluck().get());
  db.close();
  return answer;
};
const offsets = async (jobId = job) => (await store.list(jobId, 1_000)).map(({ second }) => second - noon);
const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);

const hour = 3_600;
const gone = (jobId: string, second = noon) => ({ jobId, deleted: true, second });
const place = { stream: "s", sequence: 1 };
const left = () => ["jobs", "newest", "deletions"].map((table) => ask(`select count(*) from ${table}`));

it("deleted jobs leave nothing behind, and their keys are given to nobody else", async () => {
  await open();
  const jobs = range(0, 500).map((i) => jobNamed(`o${i}`));
  for (const [i, jobId] of jobs.entries()) await store.record([resultOf({ jobId, second: noon + i })]);
  await store.noteJobs(
    jobs.map((jobId) => gone(jobId)),
    place,
  );
  await store.noteJobs([gone(jobNamed("never"))], place);
  expect(left()).toEqual([501, expect.any(Number), 501]);
  await forgetAll(noon + hour);
  expect((await store.extent()).rowCount).toBe(0);
  await forgetAll(noon + 3 * hour);
  expect(left()).toEqual([0, 0, 0]);
  expect(ask("select count(*) from holdings")).toBe(0);
  await store.record([resultOf({ second: noon + 4 * hour })]);
  expect(ask("select job_key from jobs")).toBe(502);
  expect(await offsets()).toEqual([4 * hour]);
});

it("deleted jobs are remembered for as long as results may come, and while something waits for a retry", async () => {
  await open();
  await store.record([failed({ final: false }), resultOf({ jobId: otherJob })]);
  await store.noteJobs([gone(job), gone(otherJob), gone(jobNamed("late"), noon + 10 * hour)], place);
  await forgetAll(noon + 2 * hour);
  await forgetAll(noon + 4 * hour);
  expect(left()).toEqual([2, expect.any(Number), 2]);
  await store.record([resultOf({ attempt: 2 })]);
  await forgetAll(noon + 6 * hour);
  expect(left()).toEqual([1, 0, 1]);
  await forgetAll(noon + 10 * hour);
  expect(left()).toEqual([1, 0, 1]);
  await forgetAll(noon + 12 * hour);
  expect(left()).toEqual([0, 0, 0]);
});

it("deleted jobs are looked at a few at a time", async () => {
  await open(1_000);
  const jobs = range(0, 1_000).map((i) => jobNamed(`o${i}`));
  await store.record(jobs.map((jobId) => resultOf({ jobId })));
  await forgetAll(noon + hour);
  await store.noteJobs(
    jobs.map((jobId) => gone(jobId)),
    place,
  );
  const { count, done } = await store.forget(noon + hour);
  expect(done).toBe(false);
  expect(count).toBeGreaterThan(0);
  expect(count).toBeLessThanOrEqual(200);
  await forgetAll(noon + hour);
  expect((await store.extent()).rowCount).toBe(0);
});

it("takes over a file of the second version, and knows what waits in it", async () => {
  const db = openSqlite(join(folder, "history.db"), migrations.slice(0, 2));
  const ended = "1, 1, 1, 1, 5, 7, 200, '', ''";
  const waiting = `${ExecutionStatus.RETRYING}, 0, 1, 1, 5, 7, 500, 'HTTP_STATUS', 'answered 500'`;
  db.exec(`
    insert into jobs values (1, '${job}'), (2, '${otherJob}');
    insert into segments (number) values (1);
    insert into executions values (${noon}, 1, '', 1, ${ended}), (${noon}, 2, '', 1, ${ended}),
      (${noon + 1}, 2, '', 1, ${waiting});
    insert into attempts values (${noon + 1}, 2, '', 1, 2, 5, 7, 500, 'HTTP_STATUS', 'answered 500');
    update state set row_count = 3;
  `);
  db.close();

  await open();
  expect(await store.jobsPlace()).toBeUndefined();
  await store.noteJobs(
    [job, otherJob].map((jobId) => ({ jobId, deleted: true, second: noon })),
    { stream: "s", sequence: 1 },
  );
  await forgetAll(noon + 10_000);
  await forgetAll(noon + 20_000);
  expect(await offsets()).toEqual([]);
  expect(await store.find(occurrence(noon + 1, otherJob))).toMatchObject({ status: ExecutionStatus.RETRYING });
  expect((await store.extent()).rowCount).toBe(1);
  expect(ask("select job_key from jobs")).toBe(2);
});
