import { join } from "node:path";
import type { ExecutionIdParts } from "../../../domain/identity/execution-id.ts";
import { type Position, runOfManual } from "../../../domain/identity/position.ts";
import { makeFolder } from "../../../platform/process/make-folder.ts";
import { openSoleSqlite } from "../../../platform/sql/sole-sqlite.ts";
import type { AttemptResult } from "../../../wire/attempt-result.ts";
import { amend, begin, type ExecutionRecord, hasEnded, mayBeCalled } from "../../records/execution-record.ts";
import type { HistoryStore, RecordChanges } from "../contract.ts";
import { createJobKeys, type JobKeys } from "./job-keys.ts";
import { migrations } from "./schema.ts";
import type { Segment } from "./segment.ts";
import { createSegments, type Segments } from "./segments.ts";

export interface SqliteHistoryStoreConfig {
  /** The folder of the database file; it is made when it is not there. */
  folder: string;
  /** A segment with as many rows is sealed and a new one begun. Default: 1,000,000. */
  segmentRows?: number;
}

const defaultSegmentRows = 1_000_000;
// The pages that are in use at one time: the end of the open segment, the job ids, what is being read.
const cacheKiB = 65_536;

interface Opened {
  close(): void;
  keys: JobKeys;
  segments: Segments;
  write: (results: readonly AttemptResult[]) => Written;
}

interface Written extends RecordChanges {
  inserted: { jobKey: number; position: Position }[];
}

/**
 * Executions in SQLite, in segments. One store has the file: what is in memory must stay true.
 *
 * Each call does its work before it returns its promise, so that calls never overlap.
 */
export function createSqliteHistoryStore(config: SqliteHistoryStoreConfig): HistoryStore {
  let opened: Opened | undefined;
  const use = () => {
    if (!opened) throw new Error("the history store is used before it was started or after it was stopped");
    return opened;
  };

  return {
    async start() {
      opened ??= open(config);
    },
    async stop() {
      opened?.close();
      opened = undefined;
    },
    async record(results) {
      const { keys, segments, write } = use();
      segments.rollOver();
      try {
        const { inserted, ...changes } = write(results);
        // Only what is committed may be in the index.
        for (const { jobKey, position } of inserted) segments.openIndex.add(jobKey, position);
        return changes;
      } catch (error) {
        keys.forget();
        throw error;
      }
    },
    async list(jobId, limit, before) {
      const { keys, segments } = use();
      const jobKey = keys.find(jobId);
      return jobKey === undefined ? [] : segments.list(jobKey, jobId, limit, before);
    },
    async find(execution) {
      const place = locate(use(), execution);
      return place?.segment.find(place.jobKey, execution.jobId, place.position);
    },
    async findRecorded(executions) {
      const it = use();
      return executions.map((execution) => {
        const place = locate(it, execution);
        const state = place?.segment.stateOf(place.jobKey, place.position);
        return state !== undefined && !mayBeCalled(state);
      });
    },
    async forget(before) {
      return use().segments.dropOldest(before);
    },
  };
}

function open({ folder, segmentRows = defaultSegmentRows }: SqliteHistoryStoreConfig): Opened {
  makeFolder(folder);
  const { db, close } = openSoleSqlite(join(folder, "history.db"), migrations);
  try {
    db.pragma(`cache_size = -${cacheKiB}`);
    const keys = createJobKeys(db);
    const segments = createSegments(db, keys, segmentRows);
    const write = db.transaction((results: readonly AttemptResult[]) => writeResults(keys, segments, results));
    return { close, keys, segments, write };
  } catch (error) {
    close();
    throw error;
  }
}

/** Where the row of an execution is. */
function locate(
  { keys, segments }: Opened,
  execution: ExecutionIdParts,
): { segment: Segment; jobKey: number; position: Position } | undefined {
  const jobKey = keys.find(execution.jobId);
  if (jobKey === undefined) return undefined;
  const manual = execution.kind === "manual";
  const run = manual ? runOfManual(execution.unique) : "";
  const second = manual ? segments.secondOfManual(jobKey, run) : execution.second;
  if (second === undefined) return undefined;
  const segment = segments.holding(jobKey, { second, run });
  return segment && { segment, jobKey, position: { second, run } };
}

/** To be called in a transaction. */
function writeResults(keys: JobKeys, segments: Segments, results: readonly AttemptResult[]): Written {
  let news = 0;
  const ended: ExecutionRecord[] = [];
  const inserted: Written["inserted"] = [];
  /** Records that had ended and changed once more. Nearly always empty. */
  const changedSince = new Map<string, ExecutionRecord>();
  for (const result of results) {
    const jobKey = keys.obtain(result.jobId, segments.open.number);
    // Its first record may lie in an older segment.
    const older = segments.sealedHolding(jobKey, result);
    const begun = begin(result);
    if (!older && segments.open.insert(jobKey, begun)) {
      news++;
      if (hasEnded(begun)) ended.push(begun);
      if (begun.run !== "") segments.noteManual(jobKey, begun);
      inserted.push({ jobKey, position: begun });
      continue;
    }
    const segment = older ?? segments.open;
    const record = segment.find(jobKey, result.jobId, result);
    const amended = record && amend(record, result);
    if (!record || !amended) continue;
    segment.update(jobKey, amended);
    news++;
    if (hasEnded(record)) changedSince.set(nameOf(amended), amended);
    else if (hasEnded(amended)) ended.push(amended);
  }
  if (changedSince.size === 0) return { news, ended, inserted };
  return { news, ended: ended.map((record) => changedSince.get(nameOf(record)) ?? record), inserted };
}

function nameOf({ jobId, second, run }: ExecutionRecord): string {
  return `${jobId} ${second} ${run}`;
}
