import { statSync } from "node:fs";
import { join } from "node:path";
import type { ExecutionIdParts } from "../../../domain/identity/execution-id.ts";
import { type Position, runOfManual } from "../../../domain/identity/position.ts";
import { makeFolder } from "../../../platform/process/make-folder.ts";
import { openSoleSqlite } from "../../../platform/sql/sole-sqlite.ts";
import { isDiskError, type Sqlite } from "../../../platform/sql/sqlite.ts";
import type { AttemptResult } from "../../../wire/attempt-result.ts";
import { mayBeCalled } from "../../records/execution-record.ts";
import type { EndedSince, HistoryStore, RecordChanges, StoreExtent } from "../contract.ts";
import { createDeletions, type Deletions } from "./deletions.ts";
import { createEndingsReader, createEndingsWriter, type EndingsQuestion, type EndingsWriter } from "./endings.ts";
import { type ExecutionRows, readExecutionRows } from "./execution-rows.ts";
import { createJobKeys, type JobKeys } from "./job-keys.ts";
import { createReaders, type Readers } from "./readers.ts";
import { createRecording } from "./recording.ts";
import { migrations } from "./schema.ts";
import { createSealing } from "./sealing.ts";
import { createSegments, type Segments } from "./segments.ts";
import { createSweeping, type Sweeping } from "./sweeping.ts";
import { createUpkeep, type Upkeep } from "./upkeep.ts";

export interface SqliteHistoryStoreConfig {
  /** The folder of the database file; it is made when it is not there. */
  folder: string;
  /** A segment with as many rows is sealed and a new one begun. Default: 1,000,000. */
  segmentRows?: number;
  /** How large the write-ahead log grows before it is carried over. Default: 200 MiB, which costs least. */
  logBytes?: number;
  /** How much may be kept of the order in which executions ended. Default: 64 MiB, some million of them. */
  endingsBytes?: number;
}

const defaultSegmentRows = 1_000_000;
const defaultLogBytes = 200 * 1024 * 1024;
const defaultEndingsBytes = 64 * 1024 * 1024;
// The pages that are in use at one time: the newest rows, the job ids, what is being sealed and swept.
const cacheKiB = 65_536;

interface Opened {
  db: Sqlite;
  path: string;
  keys: JobKeys;
  segments: Segments;
  rows: ExecutionRows;
  readers: Readers;
  sweeping: Sweeping;
  deletions: Deletions;
  upkeep: Upkeep;
  endings: EndingsWriter;
  endedSince: (question: EndingsQuestion) => EndedSince | undefined;
  record: (results: readonly AttemptResult[]) => RecordChanges;
  close(): void;
}

/**
 * Executions in SQLite. One store has the file: what is in memory must stay true.
 *
 * Each call but `list` does its work before it returns its promise, so that calls never overlap; a list reads one state
 * of the file over a connection of its own.
 */
export function createSqliteHistoryStore(config: SqliteHistoryStoreConfig): HistoryStore {
  let opened: Opened | undefined;
  let trouble: string | undefined;
  const use = () => {
    if (!opened) throw new Error("the history store is used before it was started or after it was stopped");
    return opened;
  };
  const noteFailure = (error: unknown) => {
    if (isDiskError(error)) trouble = `${config.folder} cannot be written: ${error.message}`;
  };
  /** Writes, and remembers whether that was possible. */
  const writing = <T>(work: (store: Opened) => T): T => {
    const store = use();
    try {
      const answer = work(store);
      trouble = undefined;
      return answer;
    } catch (error) {
      noteFailure(error);
      throw error;
    } finally {
      store.upkeep.wake();
    }
  };

  return {
    async start() {
      opened ??= open(config, noteFailure);
    },
    async stop() {
      const closing = opened;
      opened = undefined;
      closing?.upkeep.stop();
      await closing?.readers.close();
      closing?.close();
    },
    async record(results) {
      return writing(({ segments, record }) => {
        segments.rollOver();
        return record(results);
      });
    },
    async list(jobId, limit, before) {
      const { keys, readers } = use();
      const jobKey = keys.find(jobId);
      return jobKey === undefined ? [] : readers.list({ jobKey, jobId, limit, before });
    },
    async listWaiting(jobId, limit, before) {
      const { keys, rows } = use();
      const jobKey = keys.find(jobId);
      return jobKey === undefined ? [] : rows.waiting(jobKey, jobId, limit, before);
    },
    async endedSince(jobId, place, limit) {
      const { keys, endedSince } = use();
      return endedSince({ jobKey: keys.find(jobId), jobId, place, limit });
    },
    async lastEnding() {
      return use().endings.last();
    },
    async find(execution) {
      const store = use();
      const place = locate(store, execution);
      return place && store.rows.find(place.jobKey, execution.jobId, place);
    },
    async findRecorded(executions) {
      const store = use();
      return executions.map((execution) => {
        const place = locate(store, execution);
        const state = place && store.rows.stateOf(place.jobKey, place);
        return state !== undefined && !mayBeCalled(state);
      });
    },
    async forget(before) {
      return writing(({ sweeping }) => sweeping.forget(before));
    },
    async noteJobs(jobs, place) {
      writing(({ deletions }) => deletions.note(jobs, place));
    },
    async jobsPlace() {
      return use().deletions.place();
    },
    async extent() {
      return extentOf(use());
    },
    trouble: () => trouble,
  };
}

function open(
  {
    folder,
    segmentRows = defaultSegmentRows,
    logBytes = defaultLogBytes,
    endingsBytes = defaultEndingsBytes,
  }: SqliteHistoryStoreConfig,
  onFailure: (error: unknown) => void,
): Opened {
  makeFolder(folder);
  const path = join(folder, "history.db");
  const { db, close } = openSoleSqlite(path, migrations);
  try {
    const pageBytes = Number(db.pragma("page_size", { simple: true }));
    db.pragma(`cache_size = -${cacheKiB}`);
    db.pragma(`wal_autocheckpoint = ${Math.ceil(logBytes / pageBytes)}`);
    db.pragma(`journal_size_limit = ${logBytes}`);
    letItShrink(db);
    const keys = createJobKeys(db);
    const segments = createSegments(db, segmentRows);
    const sealing = createSealing(db, segments);
    const deletions = createDeletions(db, keys, segments);
    const endings = createEndingsWriter(db, endingsBytes);
    const rows = readExecutionRows(db);
    const upkeep = createUpkeep(db, sealing, onFailure);
    upkeep.wake();
    return {
      db,
      path,
      close,
      keys,
      segments,
      rows,
      readers: createReaders(path, () => [...segments.full, segments.open]),
      sweeping: createSweeping(db, segments, sealing, deletions),
      deletions,
      upkeep,
      endings,
      endedSince: createEndingsReader(db, rows),
      record: createRecording(db, keys, segments, endings),
    };
  } catch (error) {
    close();
    throw error;
  }
}

const incremental = 2;

/** Free pages are given back to the disk when they are asked to be. A file that was made otherwise is rewritten, once. */
function letItShrink(db: Sqlite): void {
  if (db.pragma("auto_vacuum", { simple: true }) === incremental) return;
  db.pragma(`auto_vacuum = ${incremental}`);
  db.exec("vacuum");
}

function extentOf({ db, path, rows }: Opened): StoreExtent {
  const pageBytes = Number(db.pragma("page_size", { simple: true }));
  const pages = Number(db.pragma("page_count", { simple: true }));
  const freePages = Number(db.pragma("freelist_count", { simple: true }));
  const files = [path, `${path}-wal`].map((file) => statSync(file, { throwIfNoEntry: false })?.size ?? 0);
  return {
    bytes: files.reduce((sum, bytes) => sum + bytes, 0),
    usedBytes: (pages - freePages) * pageBytes,
    ...rows.extent(),
  };
}

/** Where the row of an execution would be. */
function locate({ keys, rows }: Opened, execution: ExecutionIdParts): (Position & { jobKey: number }) | undefined {
  const jobKey = keys.find(execution.jobId);
  if (jobKey === undefined) return undefined;
  if (execution.kind === "occurrence") return { jobKey, second: execution.second, run: "" };
  const run = runOfManual(execution.unique);
  const second = rows.secondOfManual(jobKey, run);
  return second === undefined ? undefined : { jobKey, second, run };
}
