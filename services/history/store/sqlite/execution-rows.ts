import { ExecutionStatus, type ExecutionTrigger } from "../../../../gen/carillon/v1/execution_pb.ts";
import type { Position } from "../../../domain/identity/position.ts";
import type { Sqlite } from "../../../platform/sql/sqlite.ts";
import type { Ending } from "../../../wire/attempt-result.ts";
import type { AttemptRecord, ExecutionRecord } from "../../records/execution-record.ts";

interface EndingRow {
  status: ExecutionStatus;
  sent_at_ms: number;
  duration_ms: number;
  http_status: number;
  reason: string;
  message: string;
}

interface AttemptRow extends EndingRow {
  attempt: number;
  retry_at_ms: number;
}

interface ExecutionRow extends EndingRow {
  second: number;
  run: string;
  decided_by: number;
  attempt_count: number;
  trigger: ExecutionTrigger;
}

export interface ExecutionState {
  status: ExecutionStatus;
  /** The highest number of its attempts. */
  attemptCount: number;
}

type Key = [second: number, jobKey: number, run: string];

/** Where the rows after a position begin when there is none: no second is as great. */
export const beforeAll: Position = { second: Number.MAX_SAFE_INTEGER, run: "" };

const ending = "status, sent_at_ms, duration_ms, http_status, reason, message";
const execution = `second, run, decided_by, attempt_count, trigger, ${ending}`;

/** What is kept of executions, as it is read over one connection. A position is that of one execution of the job. */
export interface ExecutionRows {
  find(jobKey: number, jobId: string, position: Position): ExecutionRecord | undefined;
  /** What there is of an execution, without the rest of its record. */
  stateOf(jobKey: number, position: Position): ExecutionState | undefined;
  /** Those of a job that have not ended, in the order of lists; those after a position only when one is given. */
  waiting(jobKey: number, jobId: string, limit: number, before?: Position): ExecutionRecord[];
  /** The ended ones of a second, by descending run. */
  endedAt(jobKey: number, jobId: string, second: number): ExecutionRecord[];
  secondOfManual(jobKey: number, run: string): number | undefined;
  extent(): { rowCount: number; oldestSecond: number | undefined };
}

export function readExecutionRows(db: Sqlite): ExecutionRows {
  // Each rides on the primary key of its table: (second, job_key, run), with the attempt, or (job_key, run).
  const find = db.prepare<Key, ExecutionRow>(
    `select ${execution} from executions where second = ? and job_key = ? and run = ?`,
  );
  const state = db.prepare<Key, ExecutionState>(
    "select status, attempt_count as attemptCount from executions where second = ? and job_key = ? and run = ?",
  );
  const endedAt = db.prepare<[second: number, jobKey: number], ExecutionRow>(
    `select ${execution} from executions
     where second = ? and job_key = ? and status <> ${ExecutionStatus.RETRYING} order by run desc`,
  );
  // Rides on executions_waiting, which goes on with the rest of the primary key.
  const waiting = db.prepare<[jobKey: number, second: number, run: string, limit: number], ExecutionRow>(
    `select ${execution} from executions
     where job_key = ? and status = ${ExecutionStatus.RETRYING} and (second, run) < (?, ?)
     order by second desc, run desc limit ?`,
  );
  const attempts = db.prepare<Key, AttemptRow>(
    `select attempt, retry_at_ms, ${ending} from attempts where second = ? and job_key = ? and run = ? order by attempt`,
  );
  const manual = db
    .prepare<[jobKey: number, run: string], number>("select second from manual_runs where job_key = ? and run = ?")
    .pluck();
  const rowCount = db.prepare<[], number>("select row_count from state").pluck();
  const oldest = db.prepare<[], number | null>("select min(second) from executions").pluck();

  const recordOf = (jobKey: number, jobId: string, row: ExecutionRow): ExecutionRecord => {
    const { second, run, trigger } = row;
    const fields = endingOf(row);
    const record = { jobId, second, run, trigger, decidedBy: row.decided_by, ...fields };
    if (row.attempt_count === 0) return { ...record, attempts: [] };
    if (isWhole(row.decided_by, row.attempt_count)) {
      return { ...record, attempts: [{ attempt: 1, retryAtMs: 0, ...fields }] };
    }
    return { ...record, attempts: attempts.all(second, jobKey, run).map(attemptOf) };
  };
  return {
    find(jobKey, jobId, { second, run }) {
      const row = find.get(second, jobKey, run);
      return row && recordOf(jobKey, jobId, row);
    },
    stateOf: (jobKey, { second, run }) => state.get(second, jobKey, run),
    waiting(jobKey, jobId, limit, { second, run } = beforeAll) {
      return waiting.all(jobKey, second, run, limit).map((row) => recordOf(jobKey, jobId, row));
    },
    endedAt: (jobKey, jobId, second) => endedAt.all(second, jobKey).map((row) => recordOf(jobKey, jobId, row)),
    secondOfManual: (jobKey, run) => manual.get(jobKey, run),
    extent: () => ({ rowCount: rowCount.get() ?? 0, oldestSecond: oldest.get() ?? undefined }),
  };
}

/** How executions get there. To be called in transactions. */
export interface ExecutionWriter {
  /** Adds a record; false when there is one at its position already. */
  insert(jobKey: number, record: ExecutionRecord, segment: number): boolean;
  /** Writes a record that is there already, as it is now. */
  update(jobKey: number, record: ExecutionRecord): void;
  /** In which segment an execution was first recorded. */
  segmentOf(jobKey: number, position: Position): number;
  countRows(added: number): void;
}

export function createExecutionWriter(db: Sqlite): ExecutionWriter {
  // Each rides on the primary key of its table.
  const insert = db.prepare<[...Key, segment: number, number, number, trigger: number, ...EndingColumns]>(
    `insert into executions (second, job_key, run, segment, decided_by, attempt_count, trigger, ${ending})
     values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict do nothing`,
  );
  const update = db.prepare<[decidedBy: number, attemptCount: number, ...EndingColumns, ...Key]>(
    `update executions set decided_by = ?, attempt_count = ?, status = ?, sent_at_ms = ?,
       duration_ms = ?, http_status = ?, reason = ?, message = ?
     where second = ? and job_key = ? and run = ?`,
  );
  const putAttempt = db.prepare<[...Key, attempt: number, retryAtMs: number, ...EndingColumns]>(
    `insert or replace into attempts (second, job_key, run, attempt, retry_at_ms, ${ending})
     values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  );
  const putManual = db.prepare<[jobKey: number, run: string, second: number]>(
    "insert or ignore into manual_runs (job_key, run, second) values (?, ?, ?)",
  );
  const segmentOf = db
    .prepare<Key, number>("select segment from executions where second = ? and job_key = ? and run = ?")
    .pluck();
  const countRows = db.prepare<[added: number]>("update state set row_count = row_count + ?");

  const putAttempts = (jobKey: number, record: ExecutionRecord) => {
    if (isWhole(record.decidedBy, attemptCountOf(record))) return;
    const { second, run } = record;
    for (const one of record.attempts) {
      putAttempt.run(second, jobKey, run, one.attempt, one.retryAtMs, ...endingColumns(one));
    }
  };
  return {
    insert(jobKey, record, segment) {
      const { second, run, decidedBy, trigger } = record;
      const attemptCount = attemptCountOf(record);
      const columns = endingColumns(record);
      const inserted = insert.run(second, jobKey, run, segment, decidedBy, attemptCount, trigger, ...columns);
      if (inserted.changes === 0) return false;
      if (run !== "") putManual.run(jobKey, run, second);
      putAttempts(jobKey, record);
      return true;
    },
    update(jobKey, record) {
      const { second, run, decidedBy } = record;
      update.run(decidedBy, attemptCountOf(record), ...endingColumns(record), second, jobKey, run);
      putAttempts(jobKey, record);
    },
    segmentOf: (jobKey, { second, run }) => segmentOf.get(second, jobKey, run) ?? 0,
    countRows: (added) => countRows.run(added),
  };
}

/** The highest number of its attempts: those before it may still be missing. */
function attemptCountOf({ attempts }: ExecutionRecord): number {
  return attempts.at(-1)?.attempt ?? 0;
}

/** Whether the row in executions tells all: its only attempt is a first one, and that decided it. */
function isWhole(decidedBy: number, attemptCount: number): boolean {
  return attemptCount === 0 || (decidedBy === 1 && attemptCount === 1);
}

type EndingColumns = [
  status: number,
  sentAtMs: number,
  durationMs: number,
  httpStatus: number,
  reason: string,
  message: string,
];

function endingColumns({ status, sentAtMs, durationMs, httpStatus, reason, message }: Ending): EndingColumns {
  return [status, sentAtMs, durationMs, httpStatus, reason, message];
}

function attemptOf(row: AttemptRow): AttemptRecord {
  return { attempt: row.attempt, retryAtMs: row.retry_at_ms, ...endingOf(row) };
}

function endingOf(row: EndingRow): Ending {
  return {
    status: row.status,
    sentAtMs: row.sent_at_ms,
    durationMs: row.duration_ms,
    httpStatus: row.http_status,
    reason: row.reason,
    message: row.message,
  };
}
