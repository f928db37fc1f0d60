import type { Migration } from "../../../platform/sql/sqlite.ts";
import { nameJobs } from "./name-jobs.ts";

/** The schema of registry.db. Released steps are never edited. */
export const migrations: readonly Migration[] = [
  `
  -- One row a job. A deleted one stays until its tombstone is published.
  create table jobs (
    job_id text primary key not null,
    generation integer not null,
    -- A JobState: 1 active, 2 paused; or 0 for deleted.
    state integer not null,
    -- What the next JobEvent says of the timing; see events.proto.
    timing_generation integer not null,
    effective_from_ms integer not null,
    timing_sequence integer not null,
    -- The edition of JOBS (in meta.jobs_stream) that timing_sequence counts in.
    timing_edition integer not null,
    -- carillon.v1.Job, defaults filled in.
    job blob not null
  ) strict;

  -- Rides along for the few: counting and finding what does not fire.
  create index jobs_not_active on jobs (state, job_id) where state <> 1;

  -- What must still be told to the streams. Lower lanes go first; within a lane in order of id.
  create table outbox (
    lane integer not null,
    id integer not null,
    job_id text not null,
    -- A manual run: a DueBatch, with the id of its execution. Both null: the
    -- job's state, which is read from jobs when it is published.
    execution_id text,
    payload blob,
    primary key (lane, id)
  ) strict, without rowid;

  -- Answers to calls that carried a request_id.
  create table requests (
    scope text not null,
    request_id text not null,
    fingerprint blob not null,
    answer blob not null,
    created_ms integer not null,
    primary key (scope, request_id)
  ) strict;

  create index requests_created on requests (created_ms);

  create table meta (
    key text primary key not null,
    value any not null
  ) strict;
  `,
  `
  -- What a job was due by before: a JSON list of EarlierTimingRow; null for the most, where there is nothing.
  alter table jobs add column earlier text;

  -- The generation of its last pause.
  alter table jobs add column paused_generation integer not null default 0;
  update jobs set paused_generation = timing_generation where state = 2;

  -- The last second at which it can be due, unix; null when there is none. Jobs of an older version have none until
  -- their timing changes.
  alter table jobs add column last_second integer;
  -- 1 once all that it was due at was published long ago: JOBS does not hold it any more.
  alter table jobs add column ended integer not null default 0;

  -- Rides along for those that end, until they have.
  create index jobs_ending on jobs (last_second, job_id) where last_second is not null and ended = 0 and state = 1;
  `,
  nameJobs,
];
