import { ExecutionStatus } from "../../../../gen/carillon/v1/execution_pb.ts";
import type { Sqlite } from "../../../platform/sql/sqlite.ts";
import type { Forgotten } from "../contract.ts";
import type { Deletions } from "./deletions.ts";
import { createForgottenCount } from "./forgotten-count.ts";
import { createHorizonReader, type Horizon } from "./horizon.ts";
import type { Sealing } from "./sealing.ts";
import type { Segments } from "./segments.ts";

/** Forgets what is old, a few rows at a time. */
export interface Sweeping {
  /** Goes on towards a second, by what is some 10 ms of work. */
  forget(before: number): Forgotten;
}

/** 5 to 10 ms of work: what a commit may have to wait for. */
const rowsPerStep = 2_000;

export function createSweeping(db: Sqlite, segments: Segments, sealing: Sealing, deletions: Deletions): Sweeping {
  const readHorizon = createHorizonReader(db);
  // The primary key (second, job_key, ...), as each that follows unless it says otherwise.
  const selectBorder = db.prepare<[second: number, jobKey: number, before: number, rows: number], Horizon>(
    `select second, job_key as jobKey from executions where (second, job_key) >= (?, ?) and second < ?
     order by second, job_key limit 1 offset ?`,
  );
  // A job with fewer sealed executions that have ended has no second_5: comparing with null deletes nothing.
  const span = "(second, job_key) >= (?, ?) and (second, job_key) < (?, ?)";
  const deleteRows = db.prepare<Span>(
    `delete from executions where ${span} and status <> ${ExecutionStatus.RETRYING}
       and (second < (select second_5 from newest where newest.job_key = executions.job_key)
         or exists (select 1 from deletions where deletions.job_key = executions.job_key))`,
  );
  const exists = (table: string) =>
    `exists (select 1 from executions as e
       where e.second = ${table}.second and e.job_key = ${table}.job_key and e.run = ${table}.run)`;
  const deleteAttempts = db.prepare<Span>(`delete from attempts where ${span} and not ${exists("attempts")}`);
  // Rides on manual_runs_by_second.
  const deleteManual = db.prepare<Span>(`delete from manual_runs where ${span} and not ${exists("manual_runs")}`);
  const setHorizon = db.prepare<[second: number, jobKey: number]>(
    "update state set swept_second = ?, swept_job_key = ?",
  );
  const countForgotten = createForgottenCount(db);
  const forgottenCount = db.prepare<[], number>("select forgotten_count from state").pluck();
  const oldestSealed = db.prepare<[], { number: number; maxSecond: number }>(
    "select number, max_second as maxSecond from segments where sealed = 1 order by number limit 1",
  );
  const deleteHoldings = db.prepare<[segment: number, rows: number]>(
    `delete from holdings where (segment, job_key, oldest_second) in
       (select segment, job_key, oldest_second from holdings where segment = ? limit ?)`,
  );
  const deleteSegment = db.prepare<[number: number]>("delete from segments where number = ?");

  const sweep = db.transaction((from: Horizon, before: number) => {
    const to = selectBorder.get(from.second, from.jobKey, before, rowsPerStep) ?? { second: before, jobKey: 0 };
    const within: Span = [from.second, from.jobKey, to.second, to.jobKey];
    const forgotten = deleteRows.run(...within).changes;
    if (forgotten > 0) {
      deleteAttempts.run(...within);
      deleteManual.run(...within);
      countForgotten(forgotten);
    }
    setHorizon.run(to.second, to.jobKey);
  });
  const dropIndex = db.transaction((segment: number) => {
    if (deleteHoldings.run(segment, rowsPerStep).changes > 0) return;
    deleteSegment.run(segment);
  });

  /** Whether it found something to do. */
  const step = (before: number): boolean => {
    // What is not sealed is not among its job's last ones yet: older ones would be spared for nothing.
    if (sealing.pending()) sealing.step();
    else if (!deletions.settle()) {
      const from = readHorizon();
      const oldest = oldestSealed.get();
      const border = Math.min(before, segments.open.index.minSecond);
      if (from.second < border) sweep(from, border);
      else if (oldest && oldest.maxSecond < from.second) dropIndex(oldest.number);
      else if (border < before) segments.close();
      else return false;
    }
    return true;
  };
  let told = forgottenCount.get() ?? 0;
  return {
    forget(before) {
      const done = !step(before);
      const total = forgottenCount.get() ?? 0;
      const count = total - told;
      told = total;
      return { count, done };
    },
  };
}

type Span = [fromSecond: number, fromJobKey: number, toSecond: number, toJobKey: number];
