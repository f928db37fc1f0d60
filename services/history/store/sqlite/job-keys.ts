import type { Sqlite } from "../../../platform/sql/sqlite.ts";

export interface JobKeys {
  find(jobId: string): number | undefined;
  /** The key of a job, which gets one when it has none. No key is given twice: lists in sealed segments may still name it. */
  obtain(jobId: string): number;
  /** Forgets a job of which there is nothing left. */
  drop(jobKey: number): void;
  /** To be called after a rollback: keys that were given in it count no more. */
  forget(): void;
}

// About 25 MB. When it is full it starts over; a miss costs 3 µs.
const cachedKeys = 250_000;

export function createJobKeys(db: Sqlite): JobKeys {
  // Both ride on the unique index of job_id.
  const select = db.prepare<[string], number>("select job_key from jobs where job_id = ?").pluck();
  const insert = db.prepare<[string]>(
    `insert into jobs (job_key, job_id)
       select 1 + max(last_dropped_key, coalesce((select max(job_key) from jobs), 0)), ? from state`,
  );
  const remove = db.prepare<[number], string>("delete from jobs where job_key = ? returning job_id").pluck();
  const noteDropped = db.prepare<[number]>("update state set last_dropped_key = max(last_dropped_key, ?)");
  const cache = new Map<string, number>();

  const find = (jobId: string) => {
    const cached = cache.get(jobId);
    if (cached !== undefined) return cached;
    const key = select.get(jobId);
    if (key !== undefined) remember(jobId, key);
    return key;
  };
  const remember = (jobId: string, key: number) => {
    if (cache.size >= cachedKeys) cache.clear();
    cache.set(jobId, key);
  };
  return {
    find,
    obtain(jobId) {
      const known = find(jobId);
      if (known !== undefined) return known;
      const key = Number(insert.run(jobId).lastInsertRowid);
      remember(jobId, key);
      return key;
    },
    drop(jobKey) {
      const jobId = remove.get(jobKey);
      noteDropped.run(jobKey);
      if (jobId !== undefined) cache.delete(jobId);
    },
    forget: () => cache.clear(),
  };
}
