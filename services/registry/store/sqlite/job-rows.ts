import type { Sqlite } from "../../../platform/sql/sqlite.ts";
import { type EndingPlace, type JobPage, type JobRow, type PublishedState, storedState } from "../contract.ts";
import { type IndexedFields, indexedFields } from "../indexed-fields.ts";
import type { JobName, Label, LabelledIds } from "../named-jobs.ts";
import { createLabelRows } from "./label-rows.ts";

export interface JobRows {
  /** Undefined when there is none, or it was deleted. */
  get(name: JobName): JobRow | undefined;
  /** Whether there is a job of this key, and which. */
  holderOf(key: string): string | undefined;
  /** Deleted ones too, as long as their tombstone is not published. */
  getAny(jobId: string): JobRow | undefined;
  page(afterId: string, limit: number, maxBytes: number): JobPage;
  /** As `page`, of those that have all of these labels. */
  labelledPage(labels: readonly Label[], afterId: string, limit: number, maxBytes: number): JobPage;
  labelled(labels: readonly Label[], afterId: string, limit: number): LabelledIds;
  insert(row: JobRow, indexed: IndexedFields): void;
  /** Replaces everything in the row that is there. */
  update(before: JobRow, row: JobRow): void;
  /** Takes a job's key from it, so that another one may have it before the job's own next row is written. */
  freeKey(jobId: string): void;
  /** Notes under which sequence a timing was published first. Without effect when it is noted already or has changed. */
  noteTiming(jobId: string, published: PublishedState): void;
  ending(beforeSecond: number, after: EndingPlace, limit: number): JobRow[];
  /** Tells whether it was active, and not ended yet. */
  end(jobId: string, timingGeneration: number): boolean;
  /** Forgets a deleted job. */
  remove(jobId: string): void;
  count(): { active: number; paused: number };
}

const columns = `
  job_id as jobId, generation, state, timing_generation as timingGeneration, effective_from_ms as effectiveFromMs,
  timing_sequence as timingSequence, timing_edition as timingEdition, earlier,
  paused_generation as pausedGeneration, last_second as lastSecond, ended, job`;

type RawRow = Omit<JobRow, "earlier" | "lastSecond" | "ended"> & {
  earlier: string | null;
  lastSecond: number | null;
  ended: number;
};

const nothingEarlier: JobRow["earlier"] = [];

function rowOf(raw: RawRow): JobRow {
  return {
    ...raw,
    earlier: raw.earlier === null ? nothingEarlier : (JSON.parse(raw.earlier) as JobRow["earlier"]),
    lastSecond: raw.lastSecond ?? undefined,
    ended: raw.ended === 1,
  };
}

function earlierText({ earlier }: JobRow): string | null {
  return earlier.length === 0 ? null : JSON.stringify(earlier);
}

export function createJobRows(db: Sqlite): JobRows {
  // By the primary key.
  const find = db.prepare<[string], RawRow>(`select ${columns} from jobs where job_id = ?`);
  // By jobs_key.
  const findByKey = db.prepare<[string], RawRow>(`select ${columns} from jobs where key = ?`);
  const findHolder = db.prepare<[string], string>(`select job_id from jobs where key = ?`).pluck();
  const freeKey = db.prepare(`update jobs set key = null where job_id = ?`);
  const labelRows = createLabelRows(db);
  // A walk along the primary key: keyset paging, the cost of a page is its length.
  const list = db.prepare<[string, number], RawRow>(
    `select ${columns} from jobs where job_id > ? and state <> 0 order by job_id limit ?`,
  );
  const insert = db.prepare(
    `insert into jobs (job_id, generation, state, timing_generation, effective_from_ms, timing_sequence, timing_edition,
       earlier, paused_generation, last_second, ended, job, key) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  );
  const update = db.prepare(
    `update jobs set generation = ?, state = ?, timing_generation = ?, effective_from_ms = ?,
       timing_sequence = ?, timing_edition = ?, earlier = ?, paused_generation = ?, last_second = ?, ended = ?, job = ?,
       key = ? where job_id = ?`,
  );
  // By jobs_ending.
  const listEnding = db.prepare<[number, number, string, number], RawRow>(
    `select ${columns} from jobs indexed by jobs_ending
       where last_second is not null and ended = 0 and state = 1 and last_second < ? and (last_second, job_id) > (?, ?)
       order by last_second, job_id limit ?`,
  );
  const end = db.prepare(
    `update jobs set ended = 1 where job_id = ? and timing_generation = ? and state = 1 and ended = 0`,
  );
  const noteTiming = db.prepare(
    `update jobs set timing_sequence = ?, timing_edition = ?
       where job_id = ? and timing_generation = ? and timing_sequence = 0`,
  );
  const remove = db.prepare(`delete from jobs where job_id = ? and state = 0`);
  // The count of all walks the primary key's index; that of the few, jobs_not_active.
  const countAll = db.prepare<[], { n: number }>(`select count(*) as n from jobs`);
  const countState = db.prepare<[number], { n: number }>(
    `select count(*) as n from jobs indexed by jobs_not_active where state = ? and state <> 1`,
  );

  const getAny = (jobId: string) => {
    const raw = find.get(jobId);
    return raw && rowOf(raw);
  };

  const get = (name: JobName) => {
    // A deleted job has no key.
    const raw = typeof name === "string" ? find.get(name) : findByKey.get(name.key);
    return raw === undefined || raw.state === storedState.deleted ? undefined : rowOf(raw);
  };

  return {
    get,
    holderOf: (key) => findHolder.get(key),
    getAny,
    page(afterId, limit, maxBytes) {
      const rows: JobRow[] = [];
      let bytes = 0;
      for (const row of list.iterate(afterId, limit + 1)) {
        bytes += row.job.length;
        if (rows.length === limit || (rows.length > 0 && bytes > maxBytes)) return pageOf(rows, true, afterId);
        rows.push(rowOf(row));
      }
      return pageOf(rows, false, afterId);
    },
    labelledPage(labels, afterId, limit, maxBytes) {
      const { jobIds, goesOn, lastId } = labelRows.find(labels, afterId, limit + 1);
      const rows: JobRow[] = [];
      let bytes = 0;
      for (const jobId of jobIds) {
        const row = get(jobId);
        if (!row) continue;
        bytes += row.job.length;
        if (rows.length === limit || (rows.length > 0 && bytes > maxBytes)) return pageOf(rows, true, afterId);
        rows.push(row);
      }
      return { rows, goesOn, lastId };
    },
    labelled: labelRows.find,
    insert(row, { key, labels }) {
      insert.run(
        row.jobId,
        row.generation,
        row.state,
        row.timingGeneration,
        row.effectiveFromMs,
        row.timingSequence,
        row.timingEdition,
        earlierText(row),
        row.pausedGeneration,
        row.lastSecond ?? null,
        row.ended ? 1 : 0,
        row.job,
        key ?? null,
      );
      labelRows.add(row.jobId, labels);
    },
    update(before, row) {
      const { key, labels } = indexedFields(row);
      update.run(
        row.generation,
        row.state,
        row.timingGeneration,
        row.effectiveFromMs,
        row.timingSequence,
        row.timingEdition,
        earlierText(row),
        row.pausedGeneration,
        row.lastSecond ?? null,
        row.ended ? 1 : 0,
        row.job,
        key ?? null,
        row.jobId,
      );
      labelRows.replace(row.jobId, indexedFields(before).labels, labels);
    },
    freeKey(jobId) {
      freeKey.run(jobId);
    },
    noteTiming(jobId, { timingGeneration, sequence, edition }) {
      noteTiming.run(sequence, edition, jobId, timingGeneration);
    },
    ending: (beforeSecond, { lastSecond, jobId }, limit) =>
      listEnding.all(beforeSecond, lastSecond, jobId, limit).map(rowOf),
    end: (jobId, timingGeneration) => end.run(jobId, timingGeneration).changes > 0,
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

function pageOf(rows: JobRow[], goesOn: boolean, afterId: string): JobPage {
  return { rows, goesOn, lastId: rows.at(-1)?.jobId ?? afterId };
}
