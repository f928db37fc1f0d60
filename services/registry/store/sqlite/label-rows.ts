import type { Sqlite } from "../../../platform/sql/sqlite.ts";
import { sameLabels } from "../indexed-fields.ts";
import type { Label, LabelledIds } from "../named-jobs.ts";

/** Which jobs have which labels. */
export interface LabelRows {
  add(jobId: string, labels: readonly Label[]): void;
  /** Makes of the labels of a job those that it has by now. */
  replace(jobId: string, before: readonly Label[], labels: readonly Label[]): void;
  /** Jobs that have all of these labels, after an id, in order: up to `limit`, and fewer where that would take long. */
  find(labels: readonly Label[], afterId: string, limit: number): LabelledIds;
}

// Each takes some microseconds, and everybody else waits meanwhile.
const defaultMostSeeks = 10_000;

/** `mostSeeks`: more than there are labels to be asked for at once. */
export function createLabelRows(db: Sqlite, mostSeeks = defaultMostSeeks): LabelRows {
  const insert = db.prepare(`insert or ignore into job_labels values (?, ?, ?)`);
  const remove = db.prepare(`delete from job_labels where name = ? and value = ? and job_id = ?`);
  // By the primary key: the first at or after a place.
  const seek = db
    .prepare<[string, string, string], string>(
      `select job_id from job_labels where name = ? and value = ? and job_id >= ? order by job_id limit 1`,
    )
    .pluck();

  const range = db
    .prepare<[string, string, string, number], string>(
      `select job_id from job_labels where name = ? and value = ? and job_id > ? order by job_id limit ?`,
    )
    .pluck();

  const add = (jobId: string, labels: readonly Label[]) => {
    for (const [name, value] of labels) insert.run(name, value, jobId);
  };

  return {
    add,
    replace(jobId, before, labels) {
      if (sameLabels(before, labels)) return;
      for (const [name, value] of before) remove.run(name, value, jobId);
      add(jobId, labels);
    },
    /** Walks the lists of all labels at once, each ahead to where another one is: no longer than the shortest list. */
    find(labels, afterId, limit) {
      const [only, ...others] = labels;
      if (only && others.length === 0) {
        const found = range.all(...only, afterId, limit);
        return { jobIds: found, goesOn: found.length === limit, lastId: found.at(-1) ?? afterId };
      }
      const jobIds: string[] = [];
      let lastId = afterId;
      /** A job that so many labels in a row have; the others are still to be asked. */
      let candidate: string | undefined;
      let agreed = 0;
      for (let seeks = 0; labels.length > 0; seeks++) {
        if (jobIds.length === limit || seeks >= mostSeeks) return { jobIds, goesOn: true, lastId };
        const [name, value] = labels[seeks % labels.length] as Label;
        const found = seek.get(name, value, candidate ?? behind(lastId));
        if (found === undefined) break;
        if (found !== candidate) {
          lastId = candidate ?? lastId;
          candidate = found;
          agreed = 0;
        }
        if (++agreed < labels.length) continue;
        jobIds.push(found);
        lastId = found;
        candidate = undefined;
        agreed = 0;
      }
      return { jobIds, goesOn: false, lastId };
    },
  };
}

/** All ids have one length: this sorts behind one of them and before the next. */
const behind = (jobId: string) => `${jobId}!`;
