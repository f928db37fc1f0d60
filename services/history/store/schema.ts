import type { Migration, Sqlite } from "../../platform/sql/sqlite.ts";

/** What all segments share. The tables of a segment are made with it (createSegmentTables). */
export const migrations: readonly Migration[] = [
  `
  -- Short keys for the 36 characters of a job id.
  CREATE TABLE jobs (
    job_key INTEGER PRIMARY KEY,
    job_id TEXT NOT NULL UNIQUE,
    -- No segment before this one has a row of the job.
    first_segment INTEGER NOT NULL
  );

  -- The last one is open: new rows go there. row_count and the range of seconds are set when it is sealed.
  CREATE TABLE segments (
    number INTEGER PRIMARY KEY,
    sealed INTEGER NOT NULL DEFAULT 0,
    row_count INTEGER NOT NULL DEFAULT 0,
    min_second INTEGER NOT NULL DEFAULT 0,
    max_second INTEGER NOT NULL DEFAULT 0
  );

  -- Where the manual runs are: their ids do not tell the second.
  CREATE TABLE manual_runs (
    job_key INTEGER NOT NULL,
    run TEXT NOT NULL,
    segment INTEGER NOT NULL,
    second INTEGER NOT NULL,
    PRIMARY KEY (job_key, run)
  ) WITHOUT ROWID;
  CREATE INDEX manual_runs_by_segment ON manual_runs (segment);
  `,
];

/**
 * Rows lie in the order of their seconds, so that a commit touches a few pages
 * at the end and not one for each job: 4 µs a row and little to sync. With an
 * index by job kept up to date on disk it is 10 µs and six times the bytes. The
 * open segment has that index in memory instead (open-index.ts), and gets it on
 * disk in one sweep when it is sealed: 0.4 s for a million rows.
 *
 * attempts has the attempts of each execution, except where the only one is a
 * first attempt that decided it: that is the row in executions itself.
 */
export function createSegmentTables(db: Sqlite, number: number): void {
  db.exec(`
    CREATE TABLE executions_${number} (
      second INTEGER NOT NULL,
      job_key INTEGER NOT NULL,
      run TEXT NOT NULL,
      status INTEGER NOT NULL,
      decided_by INTEGER NOT NULL,
      attempt_count INTEGER NOT NULL,
      trigger INTEGER NOT NULL,
      sent_at_ms INTEGER NOT NULL,
      duration_ms INTEGER NOT NULL,
      http_status INTEGER NOT NULL,
      reason TEXT NOT NULL,
      message TEXT NOT NULL,
      PRIMARY KEY (second, job_key, run)
    ) WITHOUT ROWID;
    CREATE TABLE attempts_${number} (
      second INTEGER NOT NULL,
      job_key INTEGER NOT NULL,
      run TEXT NOT NULL,
      attempt INTEGER NOT NULL,
      status INTEGER NOT NULL,
      sent_at_ms INTEGER NOT NULL,
      duration_ms INTEGER NOT NULL,
      http_status INTEGER NOT NULL,
      reason TEXT NOT NULL,
      message TEXT NOT NULL,
      PRIMARY KEY (second, job_key, run, attempt)
    ) WITHOUT ROWID;
  `);
}

export function createJobIndex(db: Sqlite, number: number): void {
  db.exec(`CREATE INDEX executions_${number}_by_job ON executions_${number} (job_key, second, run)`);
}

export function dropSegmentTables(db: Sqlite, number: number): void {
  db.exec(`DROP TABLE executions_${number}; DROP TABLE attempts_${number}`);
}
