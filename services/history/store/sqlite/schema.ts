import type { Position } from "../../../domain/identity/position.ts";
import type { Migration, Sqlite } from "../../../platform/sql/sqlite.ts";
import { createHoldingsWriter, inLists } from "./holdings.ts";

/** What a file of the second version has. */
const tables = `
  -- In the order of their seconds: a commit touches a few pages at the end, and what is forgotten lies together at
  -- the front. Nothing else is kept in order while rows come (see holdings).
  create table executions (
    second integer not null,
    job_key integer not null,
    run text not null,
    segment integer not null,
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

  -- The attempts of each execution, except where the only one is a first attempt that decided it: that is the row in
  -- executions itself.
  create table attempts (
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

  -- Which sealed segments have rows of a job, and where those are: some hundred positions a row (position-list.ts). Written
  -- once, in this very order, so that it costs a sweep and no page for each job. The rows of a job are a chain, from
  -- the newest segment that has any to the oldest (older = 0).
  create table holdings (
    segment integer not null,
    job_key integer not null,
    -- Of these positions.
    oldest_second integer not null,
    positions blob not null,
    older integer not null,
    -- No row of the job in this segment, or in one that is further down the chain, is of a later second.
    reach integer not null,
    primary key (segment, job_key, oldest_second desc)
  ) without rowid;

  -- Of each job with sealed rows: where its chain begins, and the seconds of its last executions that have ended.
  create table newest (
    job_key integer primary key,
    segment integer not null,
    reach integer not null,
    second_1 integer,
    second_2 integer,
    second_3 integer,
    second_4 integer,
    second_5 integer
  );

  -- The rows of unsealed segments that lie before their segment's from_second.
  create table late_rows (
    segment integer not null,
    job_key integer not null,
    second integer not null,
    run text not null,
    primary key (segment, job_key, second, run)
  ) without rowid;

  create table state (
    id integer primary key check (id = 1),
    row_count integer not null,
    -- So many have been forgotten, ever.
    forgotten_count integer not null,
    -- What lies before this place has been swept: of ended executions only the last of each job are left there.
    swept_second integer not null,
    swept_job_key integer not null
  );
`;

/** What the third version adds. */
const deletions = `
  -- The jobs that are deleted: nothing of theirs is spared. A row goes, and the job's key with it, when nothing of the
  -- job is left.
  create table deletions (
    job_key integer primary key,
    -- When it was deleted.
    second integer not null,
    -- There is something to do about it once the sweep has passed this second.
    look_at integer not null
  );
  create index deletions_by_look on deletions (look_at);

  -- Those that wait for a retry, which the sweep leaves wherever they are.
  create index executions_waiting on executions (job_key) where status = 8;

  -- The highest key that was dropped.
  alter table state add column last_dropped_key integer not null default 0;
  -- How far the states of jobs have been read, and of which stream.
  alter table state add column jobs_stream text;
  alter table state add column jobs_sequence integer not null default 0;
`;

/** What the fourth version adds. */
const retryInstants = `
  -- When the attempt behind this one was due; 0 where there was to be none, or a version before this one wrote it.
  alter table attempts add column retry_at_ms integer not null default 0;
`;

/** What the fifth version adds. */
const endings = `
  -- What ended in each commit, in the order in which it was told; the oldest commits go when it is too much (endings.ts).
  create table endings (
    commit_number integer primary key,
    -- Job key and second of each.
    ended blob not null,
    -- The runs of those that are no occurrences, in JSON by their place; null where there are none.
    runs text
  );
`;

/** Every file is brought to the newest version when it is opened. */
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
  (db) => {
    db.exec(`
      ${tables}
      alter table jobs drop column first_segment;
      drop index manual_runs_by_segment;
      alter table manual_runs drop column segment;
      create index manual_runs_by_second on manual_runs (second);
      -- An unsealed one has its rows at from_second and later, and those in late_rows.
      alter table segments add column from_second integer not null default 0;
      -- While it is being sealed: the jobs up to this key are done.
      alter table segments add column sealed_key integer not null default 0;
    `);
    const segments = db.prepare<[], { number: number; sealed: number }>("select number, sealed from segments");
    for (const { number, sealed } of segments.all()) takeOver(db, number, sealed === 1);
    db.exec(`
      alter table segments drop column min_second;
      alter table segments drop column row_count;
      insert into state select 1, count(*), 0, 0, 0 from executions;
      with ranked as (
        select job_key, second, row_number() over (partition by job_key order by second desc, run desc) as place
        from executions
        where status <> 8 and segment in (select number from segments where sealed = 1)
      ), last as (
        select job_key,
          max(second) filter (where place = 1) as second_1, max(second) filter (where place = 2) as second_2,
          max(second) filter (where place = 3) as second_3, max(second) filter (where place = 4) as second_4,
          max(second) filter (where place = 5) as second_5
        from ranked where place <= 5 group by job_key
      )
      update newest set (second_1, second_2, second_3, second_4, second_5) =
        (select second_1, second_2, second_3, second_4, second_5 from last where last.job_key = newest.job_key);
    `);
  },
  deletions,
  retryInstants,
  endings,
];

/** Puts what a segment has in tables of its own, as the first version kept it, to the rest. */
function takeOver(db: Sqlite, number: number, sealed: boolean): void {
  db.exec(`
    insert into executions
      select second, job_key, run, ${number}, status, decided_by, attempt_count, trigger, sent_at_ms, duration_ms,
        http_status, reason, message
      from executions_${number};
    insert into attempts select * from attempts_${number};
    update segments set from_second = coalesce((select min(second) from executions_${number}), 0)
      where number = ${number};
  `);
  if (sealed) writeHoldings(db, number);
  db.exec(`drop table executions_${number}; drop table attempts_${number}`);
}

function writeHoldings(db: Sqlite, segment: number): void {
  const rows = db.prepare<[], Position & { jobKey: number }>(
    `select job_key as jobKey, second, run from executions_${segment} order by job_key, second desc, run desc`,
  );
  const first = db.prepare<[jobKey: number], { older: number; reach: number }>(
    "select segment as older, reach from newest where job_key = ?",
  );
  const put = createHoldingsWriter(db);
  let ofJob: (Position & { jobKey: number })[] = [];
  const write = () => {
    const [newest] = ofJob;
    if (!newest) return;
    const { older, reach } = first.get(newest.jobKey) ?? { older: 0, reach: 0 };
    const link = { older, reach: Math.max(reach, newest.second) };
    for (const list of inLists(ofJob)) put(segment, newest.jobKey, list, link);
    ofJob = [];
  };
  // Not by an iterator: what it writes would wait for its end.
  for (const row of rows.all()) {
    if (row.jobKey !== ofJob[0]?.jobKey) write();
    ofJob.push(row);
  }
  write();
  db.exec(`
    insert into newest (job_key, segment, reach)
      select job_key, segment, max(reach) from holdings where segment = ${segment} group by job_key
      on conflict (job_key) do update set segment = excluded.segment, reach = excluded.reach;
  `);
}
