import { crc32 } from "node:zlib";
import type { Sqlite } from "../../../platform/sql/sqlite.ts";
import type { EndedSince, EndingPlace } from "../contract.ts";
import type { ExecutionRows } from "./execution-rows.ts";
import type { Row } from "./segments.ts";

/*
 * The order in which executions ended, for those whose watch broke off: a row a commit, packed, so that it costs the
 * recording next to nothing. It is bounded in bytes and not in time.
 */

interface EndingsRow {
  number: number;
  ended: Buffer;
  runs: string | null;
}

// A job key and a second, as unsigned integers: 2^48 jobs, and seconds beyond any year that has a name.
const keyBytes = 6;
const secondBytes = 5;
const entryBytes = keyBytes + secondBytes;
/** What a row takes beside its entries. */
const rowBytes = 24;
/** 5 ms of work. */
const lookBytes = 4 * 1024 * 1024;

export interface EndingsWriter {
  /** Writes down what ended in a commit, in its transaction. The place behind it; undefined when nothing did. */
  append(ended: readonly Row[]): EndingPlace | undefined;
  /** To be called after a rollback. */
  forget(): void;
  last(): EndingPlace;
}

export function createEndingsWriter(db: Sqlite, maxBytes: number): EndingsWriter {
  // All ride on the primary key. The length of a blob is known without reading it.
  const insert = db.prepare<[number: number, ended: Buffer, runs: string | null]>(
    "insert into endings values (?, ?, ?)",
  );
  const remove = db
    .prepare<[], number>(
      `delete from endings where commit_number = (select min(commit_number) from endings)
       returning length(ended) + ${rowBytes}`,
    )
    .pluck();
  const extent = db.prepare<[], number>(`select coalesce(sum(length(ended) + ${rowBytes}), 0) from endings`).pluck();
  const newest = db.prepare<[], EndingsRow>(
    "select commit_number as number, ended, runs from endings order by commit_number desc limit 1",
  );
  let place: EndingPlace;
  let bytes: number;
  const load = () => {
    const row = newest.get();
    place = row ? endOf(row) : beforeAll;
    bytes = extent.get() ?? 0;
  };
  load();
  return {
    append(ended) {
      if (ended.length === 0) return undefined;
      const row = { number: place.commit + 1, ended: pack(ended), runs: runsOf(ended) };
      insert.run(row.number, row.ended, row.runs);
      bytes += row.ended.length + rowBytes;
      // The newest stays, however long it is.
      while (bytes > maxBytes && bytes > row.ended.length + rowBytes) bytes -= remove.get() ?? bytes;
      place = endOf(row);
      return place;
    },
    forget: load,
    last: () => place,
  };
}

/** Where a store begins that has seen nothing end. */
const beforeAll: EndingPlace = { commit: 0, mark: 0, count: 0 };

export interface EndingsQuestion {
  jobKey: number | undefined;
  jobId: string;
  place: EndingPlace;
  limit: number;
}

export function createEndingsReader(
  db: Sqlite,
  rows: Pick<ExecutionRows, "find">,
): (question: EndingsQuestion) => EndedSince | undefined {
  // Both ride on the primary key.
  const at = db.prepare<[number: number], EndingsRow>(
    "select commit_number as number, ended, runs from endings where commit_number = ?",
  );
  const after = db.prepare<[number: number], EndingsRow>(
    "select commit_number as number, ended, runs from endings where commit_number > ? order by commit_number",
  );
  const oldest = db.prepare<[], number | null>("select min(commit_number) from endings").pluck();

  /** The commit in which a place lies; undefined when there is no such place. */
  const locate = ({ commit, mark, count }: EndingPlace): EndingsRow | undefined => {
    // Before all there is nothing is missing only where nothing has been forgotten.
    if (commit === 0) return (oldest.get() ?? 1) === 1 ? { number: 0, ended: Buffer.alloc(0), runs: null } : undefined;
    const row = at.get(commit);
    return row && markOf(row.ended) === mark && count <= row.ended.length / entryBytes ? row : undefined;
  };

  return ({ jobKey, jobId, place, limit }) => {
    const first = locate(place);
    if (!first) return undefined;
    const answer: EndedSince = { endings: [], forgotten: 0, place, done: false };
    let looked = 0;
    /** Whether it got to the end of the commit. */
    const take = (row: EndingsRow, from: number): boolean => {
      looked += row.ended.length;
      const mark = markOf(row.ended);
      const count = row.ended.length / entryBytes;
      const runs: Record<number, string> = row.runs === null ? {} : JSON.parse(row.runs);
      for (let i = from; i < count; i++) {
        if (row.ended.readUIntBE(i * entryBytes, keyBytes) !== jobKey) continue;
        if (answer.endings.length >= limit) return false;
        answer.place = { commit: row.number, mark, count: i + 1 };
        const second = row.ended.readUIntBE(i * entryBytes + keyBytes, secondBytes);
        const record = rows.find(jobKey, jobId, { second, run: runs[i] ?? "" });
        if (record) answer.endings.push({ record, place: answer.place });
        else answer.forgotten++;
      }
      answer.place = { commit: row.number, mark, count };
      return true;
    };
    if (!take(first, place.count)) return answer;
    for (const row of after.iterate(first.number)) {
      if (looked >= lookBytes || !take(row, 0)) return answer;
    }
    answer.done = true;
    return answer;
  };
}

function pack(ended: readonly Row[]): Buffer {
  const packed = Buffer.allocUnsafe(ended.length * entryBytes);
  for (const [i, { jobKey, second }] of ended.entries()) {
    packed.writeUIntBE(jobKey, i * entryBytes, keyBytes);
    packed.writeUIntBE(second, i * entryBytes + keyBytes, secondBytes);
  }
  return packed;
}

function runsOf(ended: readonly Row[]): string | null {
  const runs = [...ended.entries()].filter(([, { run }]) => run !== "").map(([i, { run }]) => [i, run]);
  return runs.length === 0 ? null : JSON.stringify(Object.fromEntries(runs));
}

/** Of a commit: what ended in it, and when that was due, is not the same twice. */
function markOf(ended: Buffer): number {
  return ended.length === 0 ? 0 : crc32(ended);
}

function endOf({ number, ended }: EndingsRow): EndingPlace {
  return { commit: number, mark: markOf(ended), count: ended.length / entryBytes };
}
