import { ExecutionStatus } from "../../../../gen/carillon/v1/execution_pb.ts";
import type { Sqlite } from "../../../platform/sql/sqlite.ts";
import { createForgottenCount } from "./forgotten-count.ts";
import { type Horizon, horizonOf } from "./horizon.ts";

/** So many executions of each job that have ended outlive whatever is forgotten. */
export const keptPerJob = 5;

interface NewestRow {
  segment: number;
  reach: number;
  second_1: number | null;
  second_2: number | null;
  second_3: number | null;
  second_4: number | null;
  second_5: number | null;
}

/** What is known of a job's rows in sealed segments. */
export interface NewestOfJob {
  /** Where its chain of holdings begins; 0: none has a row of it. */
  segment: number;
  /** No row of it in a sealed segment is of a later second; 0 when there is none. */
  reach: number;
  /** Of the last that have ended, newest first; one for each execution. */
  seconds: readonly number[];
}

/** The last executions of each job, over one connection. */
export function createNewestReader(db: Sqlite): (jobKey: number) => NewestOfJob {
  const select = db.prepare<[jobKey: number], NewestRow>("select * from newest where job_key = ?");
  return (jobKey) => {
    const row = select.get(jobKey);
    if (!row) return { segment: 0, reach: 0, seconds: [] };
    const all = [row.second_1, row.second_2, row.second_3, row.second_4, row.second_5];
    return { segment: row.segment, reach: row.reach, seconds: all.filter((second) => second !== null) };
  };
}

export interface NewestWriter {
  /**
   * Counts executions in that have ended. Those of them and of the former last ones that are not among the last any more are
   * forgotten when they are swept already; of a deleted job all that are swept. To be called in a transaction, once for
   * each execution.
   */
  count(jobKey: number, known: NewestOfJob, ended: readonly number[], horizon: Horizon): void;
  /** Takes those out that were forgotten while the job was deleted. */
  recount(jobKey: number, known: NewestOfJob): void;
}

export function createNewestWriter(db: Sqlite): NewestWriter {
  // The primary key (job_key), or a prefix of (second, job_key, run); for manual_runs its index by second.
  const put = db.prepare<[jobKey: number, segment: number, reach: number, ...(number | null)[]]>(
    "insert or replace into newest values (?, ?, ?, ?, ?, ?, ?, ?)",
  );
  const endedAt = `second = ? and job_key = ? and status <> ${ExecutionStatus.RETRYING}`;
  const deleteRows = db.prepare<[second: number, jobKey: number]>(`delete from executions where ${endedAt}`);
  const exists = db.prepare<[second: number, jobKey: number]>(`select 1 from executions where ${endedAt}`);
  const isDeleted = db.prepare<[jobKey: number]>("select 1 from deletions where job_key = ?");
  const deleteBeside = (table: string) =>
    db.prepare<[second: number, jobKey: number]>(
      `delete from ${table} where second = ? and job_key = ? and not exists (select 1 from executions as e
         where e.second = ${table}.second and e.job_key = ${table}.job_key and e.run = ${table}.run)`,
    );
  const deleteAttempts = deleteBeside("attempts");
  const deleteManual = deleteBeside("manual_runs");
  const countForgotten = createForgottenCount(db);

  const putLast = (jobKey: number, { segment, reach }: NewestOfJob, last: readonly number[]) => {
    const padded = Array.from({ length: keptPerJob }, (_, i) => last[i] ?? null);
    put.run(jobKey, segment, reach, ...padded);
  };

  return {
    count(jobKey, known, ended, horizon) {
      const ranked = [...known.seconds, ...ended].sort((a, b) => b - a);
      const swept = horizonOf(horizon, jobKey);
      const deleted = isDeleted.get(jobKey) !== undefined;
      const last = ranked.filter((second) => !deleted || second >= swept).slice(0, keptPerJob);
      putLast(jobKey, known, last);
      const border = deleted ? swept : Math.min(last[keptPerJob - 1] ?? 0, swept);
      let gone = 0;
      for (const second of new Set(ranked.slice(last.length))) {
        if (second >= border) continue;
        gone += deleteRows.run(second, jobKey).changes;
        deleteAttempts.run(second, jobKey);
        deleteManual.run(second, jobKey);
      }
      if (gone > 0) countForgotten(gone);
    },
    recount(jobKey, known) {
      const there = known.seconds.filter((second) => exists.get(second, jobKey) !== undefined);
      if (there.length < known.seconds.length) putLast(jobKey, known, there);
    },
  };
}
