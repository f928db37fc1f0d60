import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ExecutionStatus } from "../../../../gen/carillon/v1/execution_pb.ts";
import {
  failed,
  job,
  manualRun,
  noon,
  occurrence,
  otherJob,
  resultOf,
} from "../../../../test/support/history-results.ts";
import { jobNamed } from "../../../../test/support/job-ids.ts";
import { openSqlite } from "../../../platform/sql/sqlite.ts";
import type { HistoryStore } from "../contract.ts";
import { migrations } from "./schema.ts";
import { createSqliteHistoryStore } from "./sqlite-history-store.ts";

// What the contract promises is held to it in test/contract/history-store.suite.ts.

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
const unsealed = () => ask("select count(*) from segments where sealed = 0");
const offsets = async (jobId = job) => (await store.list(jobId, 1_000)).map(({ second }) => second - noon);
const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);

it("says which file somebody else has open", async () => {
  await open();
  const second = createSqliteHistoryStore({ folder });
  await expect(second.start()).rejects.toThrow(`another store has ${join(folder, "history.db")} open`);
});

describe("segments", () => {
  it("are sealed between calls, and a job is found in those only that have rows of it", async () => {
    await open();
    await store.record([resultOf({ jobId: otherJob })]);
    for (const i of range(0, 95)) await store.record([resultOf({ second: noon + i })]);
    await vi.waitFor(() => expect(unsealed()).toBe(1));
    expect(ask("select count(*) from segments")).toBe(10);
    expect(ask("select count(*) from holdings")).toBe(10);
    expect(await offsets()).toEqual(range(0, 95).reverse());
    expect(await offsets(otherJob)).toEqual([0]);
  });

  it("are found again by a start, sealed or not, with what was recorded late", async () => {
    await open(1_000);
    const late = [-5_000, -4_000, -10];
    // From the second segment on what is ten minutes older than the newest is late.
    for (const i of range(0, 1_001)) await store.record([resultOf({ jobId: otherJob, second: noon + i })]);
    await store.record(late.map((offset) => resultOf({ second: noon + offset })));
    await store.record([failed({ second: noon - 3_000, final: false })]);
    expect(ask("select count(*) from late_rows")).toBe(4);
    await store.stop();
    await open(1_000);
    expect(await offsets()).toEqual([-10, -4_000, -5_000]);
    await store.record([resultOf({ second: noon - 3_000, attempt: 2 })]);
    await forgetAll(noon + 10_000);
    expect(await offsets()).toEqual([-10, -3_000, -4_000, -5_000]);
    expect(ask("select count(*) from late_rows")).toBe(0);
  });

  it("are sealed to the end by a store that is started after one that had begun", async () => {
    await open(6_000);
    const jobs = range(0, 6_000).map((i) => jobNamed(`s${i}`));
    await store.record(jobs.map((jobId) => resultOf({ jobId })));
    await store.record([resultOf()]);
    // It has time for one step or two until the stop.
    await vi.waitFor(() => expect(ask("select count(*) from holdings")).toBeGreaterThan(0), { interval: 1 });
    await store.stop();
    await open(6_000);
    await vi.waitFor(() => expect(unsealed()).toBe(1));
    expect(ask("select count(*) from holdings")).toBe(6_000);
    expect(ask("select count(*) from newest where second_2 is not null")).toBe(0);
    for (const jobId of jobs.filter((_, i) => i % 500 === 0)) expect(await offsets(jobId)).toEqual([0]);
  });

  it("show each execution once while they are being sealed, whether it came in time or long after its second was swept", async () => {
    await open(5_000);
    for (const i of range(0, 6)) await store.record([resultOf({ second: noon + i })]);
    await forgetAll(noon + 1_000);
    const others = range(0, 5_000).map((i) => resultOf({ jobId: jobNamed(`s${i}`), second: noon + 2_000 }));
    await store.record([resultOf({ second: noon + 2_000 }), resultOf({ second: noon + 10 }), ...others]);
    await store.record([resultOf({ jobId: otherJob, second: noon + 2_001 })]);
    let states = 0;
    for (let sealing = 2; sealing > 1; states++) {
      const listed = await offsets();
      // Those that are pushed out of the last 5 go when the job is complete.
      expect([
        [2_000, 10, 5, 4, 3],
        [2_000, 10, 5, 4, 3, 2, 1],
      ]).toContainEqual(listed);
      sealing = unsealed();
      // The next step of the sealing.
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(states).toBeGreaterThan(2);
  });

  it("count what pushes an execution out of the last 5 of a second of which only some jobs are swept", async () => {
    await open(2_500);
    const jobs = range(0, 2_500).map((i) => jobNamed(`s${i}`));
    await store.record(jobs.map((jobId) => resultOf({ jobId })));
    const first = jobNamed("s0");
    const newer = range(10, 15).map((i) => resultOf({ jobId: first, second: noon + i }));
    await store.record([
      ...newer,
      ...range(0, 2_495).map((i) => resultOf({ jobId: otherJob, second: noon + 100 + i })),
    ]);
    await vi.waitFor(() => expect(unsealed()).toBe(1));
    expect(await store.forget(noon + 1)).toEqual({ count: 0, done: false });
    expect(ask("select swept_job_key from state")).toBeGreaterThan(1);
    await store.record([resultOf({ second: noon + 9_000 })]);
    await vi.waitFor(() => expect(unsealed()).toBe(1));
    expect(await offsets(first)).toEqual([14, 13, 12, 11, 10]);
    expect(await offsets(jobNamed("s2400"))).toEqual([0]);
    await forgetAll(noon + 1);
    expect(await offsets(jobNamed("s2400"))).toEqual([0]);
  });

  it("keep more runs of one second than go into one list", async () => {
    await open(1_300);
    const runs = range(0, 1_300).map((i) => resultOf({ run: `m${1_000 + i}` }));
    await store.record(runs);
    await store.record([resultOf({ second: noon + 1 })]);
    await vi.waitFor(() => expect(unsealed()).toBe(1));
    const listed = await store.list(job, 2_000);
    expect(listed.map(({ run }) => run)).toEqual(["", ...runs.map(({ run }) => run).reverse()]);
  });

  it("go with all that belongs to them when everything in them is forgotten", async () => {
    await open();
    for (const i of range(0, 60)) {
      await store.record([
        resultOf({ second: noon + i, run: `m${i}`, attempt: 2 }),
        failed({ second: noon + i, run: `m${i}`, final: false }),
      ]);
    }
    await forgetAll(noon + 1_000);
    expect(ask("select count(*) from executions")).toBe(5);
    expect(ask("select count(*) from attempts")).toBe(10);
    expect(ask("select count(*) from manual_runs")).toBe(5);
    expect(ask("select count(*) from holdings")).toBe(0);
    expect(ask("select count(*) from segments")).toBe(1);
  });
});

it("gives the room of what it forgot back to the disk", async () => {
  await open(1_000);
  const bytesOnDisk = () =>
    ["history.db", "history.db-wal"].reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
  store = await smallLog(store);
  for (const i of range(0, 200)) {
    await store.record(
      range(0, 100).map((k) => resultOf({ jobId: jobNamed(`b${k}`), second: noon + i, message: "x".repeat(500) })),
    );
  }
  const before = bytesOnDisk();
  await forgetAll(noon + 1_000);
  await vi.waitFor(() => expect(bytesOnDisk()).toBeLessThan(before / 4));
  const { bytes, usedBytes, rowCount } = await store.extent();
  expect(rowCount).toBe(500);
  expect(bytes).toBe(bytesOnDisk());
  expect(usedBytes).toBeLessThan(bytes);
});

async function smallLog(full: HistoryStore): Promise<HistoryStore> {
  await full.stop();
  const small = createSqliteHistoryStore({ folder, segmentRows: 1_000, logBytes: 1_000_000 });
  await small.start();
  return small;
}

it("takes over a file of the first version, sealed segments and the open one", async () => {
  const [first = ""] = migrations;
  const db = openSqlite(join(folder, "history.db"), [first]);
  db.prepare("insert into jobs values (1, ?, 1), (2, ?, 1)").run(job, otherJob);
  const columns =
    "second, job_key, run, status, decided_by, attempt_count, trigger, sent_at_ms, duration_ms, http_status, reason, message";
  for (const number of [1, 2, 3]) {
    db.exec(`
      insert into segments (number, sealed) values (${number}, ${number < 3 ? 1 : 0});
      create table executions_${number} (second integer not null, job_key integer not null, run text not null,
        status integer not null, decided_by integer not null, attempt_count integer not null, trigger integer not null,
        sent_at_ms integer not null, duration_ms integer not null, http_status integer not null, reason text not null,
        message text not null, primary key (second, job_key, run)) without rowid;
      create table attempts_${number} (second integer not null, job_key integer not null, run text not null,
        attempt integer not null, status integer not null, sent_at_ms integer not null, duration_ms integer not null,
        http_status integer not null, reason text not null, message text not null,
        primary key (second, job_key, run, attempt)) without rowid;
    `);
    for (const i of range(0, 4)) {
      const second = noon + number * 10 + i;
      db.exec(`insert into executions_${number} (${columns}) values (${second}, 1, '', 1, 1, 1, 1, 5, 7, 200, '', '')`);
    }
  }
  const waiting = `${noon + 5}, 2, 'mx', ${ExecutionStatus.RETRYING}, 0, 1, 2, 5, 7, 500, 'HTTP_STATUS', 'answered 500'`;
  db.exec(`
    insert into executions_1 (${columns}) values (${waiting});
    insert into attempts_1 values (${noon + 5}, 2, 'mx', 1, 2, 5, 7, 500, 'HTTP_STATUS', 'answered 500');
    insert into manual_runs values (2, 'mx', 1, ${noon + 5});
  `);
  db.close();

  await open();
  expect(await offsets()).toEqual([33, 32, 31, 30, 23, 22, 21, 20, 13, 12, 11, 10]);
  expect(await store.find(occurrence(noon + 10))).toMatchObject({ httpStatus: 200, attempts: [{ attempt: 1 }] });
  await store.record([resultOf({ jobId: otherJob, second: noon + 5, run: "mx", attempt: 2 })]);
  expect(await store.find(manualRun("mx", otherJob))).toMatchObject({ attempts: [{ attempt: 1 }, { attempt: 2 }] });
  expect((await store.extent()).rowCount).toBe(13);
  await forgetAll(noon + 1_000);
  expect(await offsets()).toEqual([33, 32, 31, 30, 23]);
  expect(await offsets(otherJob)).toEqual([5]);
});
