import type { Sqlite } from "../../../platform/sql/sqlite.ts";
import { storedState } from "../contract.ts";
import { indexedFields } from "../indexed-fields.ts";

/** A step of the schema: jobs are found by a key, which none has so far, and by their labels. */
export function nameJobs(db: Sqlite): void {
  db.exec(`
    -- Unique among jobs that stand; null for those without, and for deleted ones.
    alter table jobs add column key text;
    create unique index jobs_key on jobs (key) where key is not null;

    -- A row for each label of each job that stands.
    create table job_labels (
      name text not null,
      value text not null,
      job_id text not null,
      primary key (name, value, job_id)
    ) strict, without rowid;
  `);
  const insert = db.prepare("insert or ignore into job_labels values (?, ?, ?)");
  const standing = db.prepare<[], { jobId: string; job: Uint8Array }>(
    "select job_id as jobId, job from jobs where state <> 0",
  );
  // Nothing is written to a table that is being read: a page at a time would be slower, and all labels fit in memory.
  const found: [string, string, string][] = [];
  for (const { jobId, job } of standing.iterate()) {
    const { labels } = indexedFields({ state: storedState.active, job });
    for (const [name, value] of labels) found.push([name, value, jobId]);
  }
  for (const row of found) insert.run(...row);
}
