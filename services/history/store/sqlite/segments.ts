import { ExecutionStatus } from "../../../../gen/carillon/v1/execution_pb.ts";
import type { Position } from "../../../domain/identity/position.ts";
import type { Sqlite } from "../../../platform/sql/sqlite.ts";
import { OpenIndex } from "./open-index.ts";

/** A segment whose rows by job are in memory. The last one is open: new rows are its. */
export interface Unsealed {
  readonly number: number;
  /** Its rows before this second are in late_rows as well, so that a start finds all of them. */
  readonly fromSecond: number;
  readonly index: OpenIndex;
  /** Its rows that have not ended (by keyOf). */
  readonly retrying: Set<string>;
  /** The jobs up to this key are written already. */
  sealedKey: number;
}

export interface Row extends Position {
  jobKey: number;
}

/** What a segment is: the rows that were first recorded between one sealing and the next. Only their indexes are apart. */
export interface Segments {
  readonly open: Unsealed;
  /** Those that are full and not sealed yet, the oldest first. */
  readonly full: readonly Unsealed[];
  /** Begins a new one when the open one is full. */
  rollOver(): void;
  /** Begins a new one, however little the open one has. */
  close(): void;
  /** Writes down of a row of the open segment what a start needs. To be called in the transaction that adds it. */
  noteRow(row: Row): void;
  /** Takes up what has been committed: the rows of the open segment, and those of any that have ended since. */
  take(added: readonly (Row & { retrying: boolean })[], ended: readonly Row[]): void;
  /** Whether what a row of the segment ends as has been counted already, so that it is counted at once. */
  isCounted(segment: number, jobKey: number): boolean;
  /** The oldest full one is sealed and needs no index in memory. To be called after the commit. */
  dropSealed(): void;
}

/**
 * A row that is older by this than the newest one when its segment began is noted apart. Results come within the deadline
 * of a call and the retries after it; this is the most of them.
 */
const lateAfterSeconds = 600;

export function createSegments(db: Sqlite, segmentRows: number): Segments {
  const insertSegment = db.prepare<[fromSecond: number]>("insert into segments (from_second) values (?)");
  const insertLate = db.prepare<[segment: number, jobKey: number, second: number, run: string]>(
    "insert or ignore into late_rows values (?, ?, ?, ?)",
  );

  const begin = (fromSecond: number): Unsealed => {
    const number = Number(insertSegment.run(fromSecond).lastInsertRowid);
    return { number, fromSecond, index: new OpenIndex(), retrying: new Set(), sealedKey: 0 };
  };
  const unsealed = restore(db);
  if (unsealed.length === 0) unsealed.push(begin(0));
  const openOne = () => unsealed.at(-1) as Unsealed;

  const close = () => {
    unsealed.push(begin(Math.max(0, openOne().index.lastSecond - lateAfterSeconds)));
  };
  return {
    get open() {
      return openOne();
    },
    get full() {
      return unsealed.slice(0, -1);
    },
    rollOver() {
      if (openOne().index.rowCount >= segmentRows) close();
    },
    close,
    noteRow({ jobKey, second, run }) {
      const { number, fromSecond } = openOne();
      if (second < fromSecond) insertLate.run(number, jobKey, second, run);
    },
    take(added, ended) {
      const { index, retrying } = openOne();
      for (const row of added) {
        index.add(row.jobKey, row);
        if (row.retrying) retrying.add(keyOf(row));
      }
      for (const row of ended) for (const segment of unsealed) segment.retrying.delete(keyOf(row));
    },
    isCounted(segment, jobKey) {
      const [oldest] = unsealed;
      return (
        oldest !== undefined && (segment < oldest.number || (segment === oldest.number && jobKey <= oldest.sealedKey))
      );
    },
    dropSealed() {
      unsealed.shift();
    },
  };
}

export function keyOf({ jobKey, second, run }: Row): string {
  return `${jobKey} ${second} ${run}`;
}

/** What was in memory when the file was closed. A million rows take half a second. */
function restore(db: Sqlite): Unsealed[] {
  const segments = db.prepare<[], { number: number; from_second: number; sealed_key: number }>(
    "select number, from_second, sealed_key from segments where sealed = 0 order by number",
  );
  // The first rides on the primary key (second, ...), the other on both primary keys.
  const columns = "segment, job_key as jobKey, second, run, status";
  const onTime = db.prepare<[from: number, segment: number], Row & { segment: number; status: number }>(
    `select ${columns} from executions where second >= ? and segment >= ?`,
  );
  const late = db.prepare<[segment: number], Row & { segment: number; status: number }>(
    `select e.segment, job_key as jobKey, second, run, status
     from late_rows join executions as e using (second, job_key, run) where late_rows.segment = ?`,
  );

  const unsealed = segments.all().map(
    (row): Unsealed => ({
      number: row.number,
      fromSecond: row.from_second,
      index: new OpenIndex(),
      retrying: new Set(),
      sealedKey: row.sealed_key,
    }),
  );
  const add = (segment: Unsealed, row: Row & { status: number }) => {
    segment.index.add(row.jobKey, row);
    if (row.status === ExecutionStatus.RETRYING) segment.retrying.add(keyOf(row));
  };
  const [oldest] = unsealed;
  if (!oldest) return unsealed;
  const byNumber = new Map(unsealed.map((segment) => [segment.number, segment]));
  const from = Math.min(...unsealed.map(({ fromSecond }) => fromSecond));
  for (const row of onTime.iterate(from, oldest.number)) {
    const segment = byNumber.get(row.segment);
    if (segment && row.second >= segment.fromSecond) add(segment, row);
  }
  for (const segment of unsealed) for (const row of late.iterate(segment.number)) add(segment, row);
  return unsealed;
}
