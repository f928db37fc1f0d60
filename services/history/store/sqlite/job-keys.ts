import type { Sqlite } from "../../../platform/sql/sqlite.ts";

export interface JobKeys {
  find(jobId: string): number | undefined;
  /** The key of a job, which gets one when it has none. */
  obtain(jobId: string): number;
  /** To be called after a rollback: keys that were given in it count no more. */
  forget(): void;
}

// About 25 MB. When it is full it starts over; a miss costs 3 µs.
const cachedKeys = 250_000;

export function createJobKeys(db: Sqlite): JobKeys {
  // Both ride on the unique index of job_id.
  const select = db.prepare<[string], number>("select job_key from jobs where job_id = ?").pluck();
  const insert = db.prepare<[string]>("insert into jobs (job_id) values (?)");
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
    forget: () => cache.clear(),
  };
}
