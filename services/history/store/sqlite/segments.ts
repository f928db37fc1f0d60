import type { Position } from "../../../domain/identity/position.ts";
import type { Sqlite } from "../../../platform/sql/sqlite.ts";
import { type ExecutionRecord, hasEnded } from "../../records/execution-record.ts";
import type { JobKeys } from "./job-keys.ts";
import { OpenIndex } from "./open-index.ts";
import { createJobIndex, createSegmentTables, dropSegmentTables } from "./schema.ts";
import { openSegment, type Segment } from "./segment.ts";

/** All segments: the open one, which takes new rows, and the sealed ones behind it. */
export interface Segments {
  readonly open: Segment;
  /** The open segment's rows by job. Whoever commits rows to it adds them. */
  readonly openIndex: OpenIndex;
  /** Seals the open segment and begins a new one, when it is full. */
  rollOver(): void;
  /** The sealed segment that has a row at the position; rows of one position never lie in two. */
  sealedHolding(jobKey: number, position: Position): Segment | undefined;
  /** The same, the open one included. */
  holding(jobKey: number, position: Position): Segment | undefined;
  list(jobKey: number, jobId: string, limit: number, before?: Position): ExecutionRecord[];
  /** Notes where a manual run is that was just put into the open segment. */
  noteManual(jobKey: number, position: Position): void;
  secondOfManual(jobKey: number, run: string): number | undefined;
  /** Drops the oldest sealed segment if all its rows are of before a second, and says how many they were. */
  dropOldest(before: number): number;
}

interface Sealed {
  segment: Segment;
  rowCount: number;
  /** The range of its seconds: it has no row outside. */
  minSecond: number;
  maxSecond: number;
}

interface SegmentRow {
  number: number;
  sealed: number;
  row_count: number;
  min_second: number;
  max_second: number;
}

export function createSegments(db: Sqlite, keys: JobKeys, segmentRows: number): Segments {
  const insertSegment = db.prepare("insert into segments default values");
  const sealSegment = db.prepare<[rowCount: number, min: number, max: number, number: number]>(
    "update segments set sealed = 1, row_count = ?, min_second = ?, max_second = ? where number = ?",
  );
  const deleteSegment = db.prepare<[number: number]>("delete from segments where number = ?");
  // The primary key (job_key, run) for the first two, manual_runs_by_segment for the last.
  const insertManual = db.prepare<[jobKey: number, run: string, segment: number, second: number]>(
    "insert or ignore into manual_runs (job_key, run, segment, second) values (?, ?, ?, ?)",
  );
  const selectManual = db
    .prepare<[jobKey: number, run: string], number>("select second from manual_runs where job_key = ? and run = ?")
    .pluck();
  const deleteManual = db.prepare<[segment: number]>("delete from manual_runs where segment = ?");

  /** By their greatest second, descending: the order in which they are read. */
  let sealed: Sealed[] = [];
  let open: Segment;
  let openIndex = new OpenIndex();

  const addSealed = (added: Sealed) => {
    sealed = [...sealed, added].sort((a, b) => b.maxSecond - a.maxSecond);
  };
  const begin = (): Segment => {
    const number = Number(insertSegment.run().lastInsertRowid);
    createSegmentTables(db, number);
    return openSegment(db, number);
  };
  const inRange = ({ minSecond, maxSecond }: Sealed, { second }: Position) =>
    second >= minSecond && second <= maxSecond;
  const sealedHolding = (jobKey: number, position: Position) => {
    // Nearly always the first one ends this: a new result is of a later second than all sealed rows.
    for (const candidate of sealed) {
      if (candidate.maxSecond < position.second) return undefined;
      if (inRange(candidate, position) && candidate.segment.has(jobKey, position)) return candidate.segment;
    }
    return undefined;
  };

  const listOpen = (jobKey: number, jobId: string, limit: number, before?: Position) => {
    const records: ExecutionRecord[] = [];
    for (const position of openIndex.newestFirst(jobKey, before)) {
      if (records.length >= limit) break;
      const record = open.find(jobKey, jobId, position);
      if (record && hasEnded(record)) records.push(record);
    }
    return records;
  };

  const restore = () => {
    const rows = db.prepare<[], SegmentRow>("select * from segments order by number").all();
    const last = rows.at(-1);
    for (const row of rows) {
      if (row.sealed === 0) continue;
      const segment = openSegment(db, row.number);
      addSealed({ segment, rowCount: row.row_count, minSecond: row.min_second, maxSecond: row.max_second });
    }
    if (!last || last.sealed === 1) return db.transaction(begin)();
    const segment = openSegment(db, last.number);
    for (const [jobKey, second, run] of segment.positions()) openIndex.add(jobKey, { second, run });
    return segment;
  };
  open = restore();

  return {
    get open() {
      return open;
    },
    get openIndex() {
      return openIndex;
    },
    rollOver() {
      if (openIndex.rowCount < segmentRows) return;
      const { rowCount, minSecond, maxSecond } = openIndex;
      const next = db.transaction(() => {
        createJobIndex(db, open.number);
        sealSegment.run(rowCount, minSecond, maxSecond, open.number);
        return begin();
      })();
      addSealed({ segment: open, rowCount, minSecond, maxSecond });
      open = next;
      openIndex = new OpenIndex();
    },
    sealedHolding,
    holding(jobKey, position) {
      return open.has(jobKey, position) ? open : sealedHolding(jobKey, position);
    },
    list(jobKey, jobId, limit, before) {
      const firstSegment = keys.firstSegment(jobKey);
      let records = listOpen(jobKey, jobId, limit, before);
      for (const { segment, minSecond, maxSecond } of sealed) {
        const last = records[limit - 1];
        if (last && maxSecond < last.second) break;
        if (segment.number < firstSegment || (before && minSecond > before.second)) continue;
        records = records.concat(segment.listEnded(jobKey, jobId, limit, before));
        records = records.sort(newestFirst).slice(0, limit);
      }
      return records;
    },
    noteManual: (jobKey, { run, second }) => insertManual.run(jobKey, run, open.number, second),
    secondOfManual: (jobKey, run) => selectManual.get(jobKey, run),
    dropOldest(before) {
      const oldest = sealed.at(-1);
      if (!oldest || oldest.maxSecond >= before) return 0;
      const { number } = oldest.segment;
      db.transaction(() => {
        dropSegmentTables(db, number);
        deleteManual.run(number);
        deleteSegment.run(number);
      })();
      sealed = sealed.slice(0, -1);
      return oldest.rowCount;
    },
  };
}

function newestFirst(a: Position, b: Position): number {
  if (a.second !== b.second) return b.second - a.second;
  return a.run < b.run ? 1 : -1;
}
