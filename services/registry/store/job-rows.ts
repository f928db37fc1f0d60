import type { Sqlite } from "../../platform/sql/sqlite.ts";

/** JobState as it is stored; COMPLETED is derived on reading. */
export const storedState = { deleted: 0, active: 1, paused: 2 } as const;

export type StoredState = (typeof storedState)[keyof typeof storedState];

export interface JobRow {
  jobId: string;
  generation: number;
  state: StoredState;
  timingGeneration: number;
  effectiveFromMs: number;
  /** 0 until the broker has acknowledged the event that carries this timing. */
  timingSequence: number;
  timingEpoch: number;
  /** carillon.v1.Job. */
  job: Uint8Array;
}

export interface JobRows {
  /** Undefined when there is none, or it was deleted. */
  get(jobId: string): JobRow | undefined;
  /** Deleted ones too, as long as their tombstone is not published. */
  getAny(jobId: string): JobRow | undefined;
  /** In order of id, from after `afterId` on; deleted ones left out. */
  list(afterId: string, limit: number): JobRow[];
  /** The same, ended early once its jobs take so many bytes; at least one. */
  page(afterId: string, limit: number, maxBytes: number): JobRow[];
  insert(row: JobRow): void;
  /** Replaces everything; the row must be there. */
  update(row: JobRow): void;
  /** Notes under which sequence a timing was published first. Without effect when it is noted already or has changed. */
  recordTiming(jobId: string, timingGeneration: number, sequence: number, epoch: number): void;
  /** Forgets a deleted job. */
  remove(jobId: string): void;
  count(): { active: number; paused: number };
}

const columns = `
  job_id as jobId, generation, state, timing_generation as timingGeneration, effective_from_ms as effectiveFromMs,
  timing_sequence as timingSequence, timing_epoch as timingEpoch, job`;

export function createJobRows(db: Sqlite): JobRows {
  // By the primary key.
  const getAny = db.prepare<[string], JobRow>(`select ${columns} from jobs where job_id = ?`);
  // A walk along the primary key: keyset paging, the cost of a page is its length.
  const list = db.prepare<[string, number], JobRow>(
    `select ${columns} from jobs where job_id > ? and state <> 0 order by job_id limit ?`,
  );
  const insert = db.prepare(`insert into jobs values (?, ?, ?, ?, ?, ?, ?, ?)`);
  const update = db.prepare(
    `update jobs set generation = ?, state = ?, timing_generation = ?, effective_from_ms = ?,
       timing_sequence = ?, timing_epoch = ?, job = ? where job_id = ?`,
  );
  const recordTiming = db.prepare(
    `update jobs set timing_sequence = ?, timing_epoch = ?
       where job_id = ? and timing_generation = ? and timing_sequence = 0`,
  );
  const remove = db.prepare(`delete from jobs where job_id = ? and state = 0`);
  // The count of all walks the primary key's index; that of the few, jobs_not_active.
  const countAll = db.prepare<[], { n: number }>(`select count(*) as n from jobs`);
  const countState = db.prepare<[number], { n: number }>(
    `select count(*) as n from jobs indexed by jobs_not_active where state = ? and state <> 1`,
  );

  return {
    get(jobId) {
      const row = getAny.get(jobId);
      return row?.state === storedState.deleted ? undefined : row;
    },
    getAny: (jobId) => getAny.get(jobId),
    list: (afterId, limit) => list.all(afterId, limit),
    page(afterId, limit, maxBytes) {
      const rows: JobRow[] = [];
      let bytes = 0;
      for (const row of list.iterate(afterId, limit)) {
        bytes += row.job.length;
        if (rows.length > 0 && bytes > maxBytes) break;
        rows.push(row);
      }
      return rows;
    },
    insert(row) {
      insert.run(
        row.jobId,
        row.generation,
        row.state,
        row.timingGeneration,
        row.effectiveFromMs,
        row.timingSequence,
        row.timingEpoch,
        row.job,
      );
    },
    update(row) {
      update.run(
        row.generation,
        row.state,
        row.timingGeneration,
        row.effectiveFromMs,
        row.timingSequence,
        row.timingEpoch,
        row.job,
        row.jobId,
      );
    },
    recordTiming(jobId, timingGeneration, sequence, epoch) {
      recordTiming.run(sequence, epoch, jobId, timingGeneration);
    },
    remove(jobId) {
      remove.run(jobId);
    },
    count() {
      const paused = countState.get(storedState.paused)?.n ?? 0;
      const deleted = countState.get(storedState.deleted)?.n ?? 0;
      return { active: (countAll.get()?.n ?? 0) - paused - deleted, paused };
    },
  };
}
