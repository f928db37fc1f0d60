import type { Migration, Sqlite } from "../../../platform/sql/sqlite.ts";

/** What all segments share. The tables of a segment are made with it (createSegmentTables). */
export const migrations: readonly Migration[] = [
  `
  -- Short keys for the 36 characters of a job id.
  create table jobs (
    job_key integer primary key,
    job_id text not null unique,
    -- No segment before this one has a row of the job.
    first_segment integer not null
  );

  -- The last one is open: new rows go there. row_count and the range of seconds are set when it is sealed.
  create table segments (
    number integer primary key,
    sealed integer not null default 0,
    row_count integer not null default 0,
    min_second integer not null default 0,
    max_second integer not null default 0
  );

  -- Where the manual runs are: their ids do not tell the second.
  create table manual_runs (
    job_key integer not null,
    run text not null,
    segment integer not null,
    second integer not null,
    primary key (job_key, run)
  ) without rowid;
  create index manual_runs_by_segment on manual_runs (segment);
  `,
];

/**
 * Rows lie in the order of their seconds, so that a commit touches a few pages
 * at the end and not one for each job: 4.6 µs and 0.6 KB written a row. With an
 * index by job kept up to date on disk it is 10 µs and 3.4 KB. The
 * open segment has that index in memory instead (open-index.ts), and gets it on
 * disk in one sweep when it is sealed: 0.4 s for a million rows.
 *
 * attempts has the attempts of each execution, except where the only one is a
 * first attempt that decided it: that is the row in executions itself.
 */
export function createSegmentTables(db: Sqlite, number: number): void {
  db.exec(`
    create table executions_${number} (
      second integer not null,
      job_key integer not null,
      run text not null,
      status integer not null,
      decided_by integer not null,
      attempt_count integer not null,
      trigger integer not null,
      sent_at_ms integer not null,
      duration_ms integer not null,
      http_status integer not null,
      reason text not null,
      message text not null,
      primary key (second, job_key, run)
    ) without rowid;
    create table attempts_${number} (
      second integer not null,
      job_key integer not null,
      run text not null,
      attempt integer not null,
      status integer not null,
      sent_at_ms integer not null,
      duration_ms integer not null,
      http_status integer not null,
      reason text not null,
      message text not null,
      primary key (second, job_key, run, attempt)
    ) without rowid;
  `);
}

export function createJobIndex(db: Sqlite, number: number): void {
  db.exec(`create index executions_${number}_by_job on executions_${number} (job_key, second, run)`);
}

export function dropSegmentTables(db: Sqlite, number: number): void {
  db.exec(`drop table executions_${number}; drop table attempts_${number}`);
}
