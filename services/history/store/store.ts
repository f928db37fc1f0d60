import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Position } from "../../domain/identity/position.ts";
import type { Startable } from "../../platform/process/lifecycle.ts";
import { openSqlite, type Sqlite } from "../../platform/sql/sqlite.ts";
import type { AttemptResult } from "../../wire/attempt-result.ts";
import { amend, type ExecutionRecord, isSettled } from "../results/disposition.ts";
import { createJobKeys, type JobKeys } from "./job-keys.ts";
import { migrations } from "./schema.ts";
import { createSegments, type Segments } from "./segments.ts";

export interface HistoryStoreOptions {
  /** The folder of the database file; it is made when it is not there. */
  folder: string;
  /** A segment with as many rows is sealed and a new one begun. Default: 1,000,000. */
  segmentRows?: number;
}

/** What a call of `record` changed. */
export interface Recorded {
  /** Results that were news: attempts and dispositions not known before. */
  news: number;
  /** Those of them that settled their execution. Each execution comes here once, whatever is recorded later. */
  settled: AttemptResult[];
}

export interface HistoryStore extends Startable {
  /** Writes results in one transaction and returns after its commit; what is known already changes nothing. Throws when nothing of it was written. */
  record(results: readonly AttemptResult[]): Recorded;
  /** Settled executions of a job, newest second first; those before a position only when one is given. */
  list(jobId: string, limit: number, before?: Position): ExecutionRecord[];
  find(jobId: string, position: Position): ExecutionRecord | undefined;
  /** A manual run, by the `run` of its position. */
  findManual(jobId: string, run: string): ExecutionRecord | undefined;
  has(jobId: string, position: Position): boolean;
  hasManual(jobId: string, run: string): boolean;
  /** Forgets a sealed segment with all its executions. Throws when it is open or not there. */
  dropSegment(number: number): void;
  segments(): SegmentInfo[];
}

export interface SegmentInfo {
  number: number;
  sealed: boolean;
  rowCount: number;
}

const defaultSegmentRows = 1_000_000;
// The pages that are in use at one time: the end of the open segment, the job ids, what is being read.
const cacheKiB = 65_536;

interface Opened {
  db: Sqlite;
  keys: JobKeys;
  segments: Segments;
  write: (results: readonly AttemptResult[]) => Written;
}

interface Written extends Recorded {
  inserted: { jobKey: number; position: Position }[];
}

/** Executions in SQLite, in segments. One process has the file, and nobody else: what is in memory must stay true. */
export function createHistoryStore(options: HistoryStoreOptions): HistoryStore {
  let opened: Opened | undefined;
  const use = () => {
    if (!opened) throw new Error("the history store is used while it is not open");
    return opened;
  };
  const keyOf = (jobId: string) => use().keys.find(jobId);
  const manual = (jobId: string, run: string): Position | undefined => {
    const jobKey = keyOf(jobId);
    const second = jobKey === undefined ? undefined : use().segments.secondOfManual(jobKey, run);
    return second === undefined ? undefined : { second, run };
  };
  const find = (jobId: string, position: Position) => {
    const jobKey = keyOf(jobId);
    if (jobKey === undefined) return undefined;
    return use().segments.holding(jobKey, position)?.find(jobKey, jobId, position);
  };
  const has = (jobId: string, position: Position) => {
    const jobKey = keyOf(jobId);
    return jobKey !== undefined && use().segments.holding(jobKey, position) !== undefined;
  };

  return {
    async start() {
      opened ??= open(options);
    },
    async stop() {
      opened?.db.close();
      opened = undefined;
    },
    record(results) {
      const { keys, segments, write } = use();
      segments.rollOver();
      try {
        const { inserted, ...recorded } = write(results);
        // Only what is committed may be in the index.
        for (const { jobKey, position } of inserted) segments.openIndex.add(jobKey, position);
        return recorded;
      } catch (error) {
        keys.forget();
        throw error;
      }
    },
    list(jobId, limit, before) {
      const jobKey = keyOf(jobId);
      return jobKey === undefined ? [] : use().segments.list(jobKey, jobId, limit, before);
    },
    find,
    findManual(jobId, run) {
      const position = manual(jobId, run);
      return position && find(jobId, position);
    },
    has,
    hasManual: (jobId, run) => manual(jobId, run) !== undefined,
    dropSegment: (number) => use().segments.drop(number),
    segments: () => use().segments.infos(),
  };
}

function open({ folder, segmentRows = defaultSegmentRows }: HistoryStoreOptions): Opened {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, "history.db");
  let db: Sqlite | undefined;
  try {
    db = openSqlite(path, migrations);
    db.pragma(`cache_size = -${cacheKiB}`);
    // Held from the first transaction on until the process ends: a second writer fails at its start.
    db.pragma("locking_mode = EXCLUSIVE");
    db.exec("BEGIN IMMEDIATE; COMMIT");
    const keys = createJobKeys(db);
    const segments = createSegments(db, keys, segmentRows);
    const write = db.transaction((results: readonly AttemptResult[]) => writeResults(keys, segments, results));
    return { db, keys, segments, write };
  } catch (error) {
    db?.close();
    const busy = error instanceof Error && "code" in error && error.code === "SQLITE_BUSY";
    throw busy ? new Error(`another process has ${path} open`, { cause: error }) : error;
  }
}

function writeResults(keys: JobKeys, segments: Segments, results: readonly AttemptResult[]): Written {
  const written: Written = { news: 0, settled: [], inserted: [] };
  for (const result of results) {
    const jobKey = keys.obtain(result.jobId, segments.open.number);
    // Its first record may lie in an older segment.
    const older = segments.sealedHolding(jobKey, result);
    if (!older && segments.open.insert(jobKey, result)) {
      written.news++;
      if (result.final) written.settled.push(result);
      if (result.run !== "") segments.noteManual(jobKey, result);
      written.inserted.push({ jobKey, position: result });
      continue;
    }
    const segment = older ?? segments.open;
    const record = segment.find(jobKey, result.jobId, result);
    const amended = record && amend(record, result);
    if (!record || !amended) continue;
    segment.update(jobKey, amended);
    written.news++;
    // As it ended: a skip in place of a retry ends an execution that failed.
    if (!isSettled(record) && isSettled(amended)) written.settled.push({ ...result, status: amended.status });
  }
  return written;
}
