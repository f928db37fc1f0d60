import { ExecutionStatus, type ExecutionTrigger } from "../../../../gen/carillon/v1/execution_pb.ts";
import type { Position } from "../../../domain/identity/position.ts";
import type { Sqlite } from "../../../platform/sql/sqlite.ts";
import type { Ending } from "../../../wire/attempt-result.ts";
import type { ExecutionRecord } from "../../records/execution-record.ts";

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
}

interface ExecutionRow extends EndingRow {
  second: number;
  run: string;
  decided_by: number;
  attempt_count: number;
  trigger: ExecutionTrigger;
}

/** Where the rows after a position begin when there is none: no second is as great. */
const beforeAll: Position = { second: Number.MAX_SAFE_INTEGER, run: "" };

export interface ExecutionState {
  status: ExecutionStatus;
  /** The highest number of its attempts. */
  attemptCount: number;
}

/** The rows of one segment. A position is that of one execution of the job. */
export interface Segment {
  readonly number: number;
  /** Adds a record; false when there is one at its position already. */
  insert(jobKey: number, record: ExecutionRecord): boolean;
  /** Writes a record that is there already, as it is now. */
  update(jobKey: number, record: ExecutionRecord): void;
  has(jobKey: number, position: Position): boolean;
  find(jobKey: number, jobId: string, position: Position): ExecutionRecord | undefined;
  /** What there is of an execution, without the rest of its record. */
  stateOf(jobKey: number, position: Position): ExecutionState | undefined;
  /** The newest of a job that have ended. Only a sealed segment has the index for it. */
  listEnded(jobKey: number, jobId: string, limit: number, before?: Position): ExecutionRecord[];
  /** The key and position of each row, in no particular order. */
  positions(): IterableIterator<[jobKey: number, second: number, run: string]>;
}

export function openSegment(db: Sqlite, number: number): Segment {
  // Hundreds of segments may lie behind; most are never read.
  let prepared: ReturnType<typeof prepareStatements> | undefined;
  const statements = () => {
    prepared ??= prepareStatements(db, number);
    return prepared;
  };

  const putAttempts = (jobKey: number, record: ExecutionRecord) => {
    if (isWhole(record.decidedBy, attemptCountOf(record))) return;
    const { second, run, attempts } = record;
    for (const one of attempts) statements().putAttempt.run(second, jobKey, run, one.attempt, ...endingColumns(one));
  };

  const recordOf = (jobKey: number, jobId: string, row: ExecutionRow): ExecutionRecord => {
    const { second, run, trigger } = row;
    const ending = endingOf(row);
    const record = { jobId, second, run, trigger, decidedBy: row.decided_by, ...ending };
    if (row.attempt_count === 0) return { ...record, attempts: [] };
    if (isWhole(row.decided_by, row.attempt_count)) return { ...record, attempts: [{ attempt: 1, ...ending }] };
    const rows = statements().attempts.all(second, jobKey, run);
    return { ...record, attempts: rows.map((attempt) => ({ attempt: attempt.attempt, ...endingOf(attempt) })) };
  };

  return {
    number,
    insert(jobKey, record) {
      const { second, run, decidedBy, trigger } = record;
      const columns = endingColumns(record);
      const attemptCount = attemptCountOf(record);
      const inserted = statements().insert.run(second, jobKey, run, decidedBy, attemptCount, trigger, ...columns);
      if (inserted.changes === 0) return false;
      putAttempts(jobKey, record);
      return true;
    },
    update(jobKey, record) {
      const { second, run, decidedBy } = record;
      const columns = endingColumns(record);
      statements().update.run(decidedBy, attemptCountOf(record), ...columns, second, jobKey, run);
      putAttempts(jobKey, record);
    },
    has: (jobKey, { second, run }) => statements().has.get(second, jobKey, run) !== undefined,
    find(jobKey, jobId, { second, run }) {
      const row = statements().find.get(second, jobKey, run);
      return row && recordOf(jobKey, jobId, row);
    },
    stateOf: (jobKey, { second, run }) => statements().state.get(second, jobKey, run),
    listEnded(jobKey, jobId, limit, before = beforeAll) {
      const rows = statements().listEnded.all(jobKey, before.second, before.run, limit);
      return rows.map((row) => recordOf(jobKey, jobId, row));
    },
    positions: () => statements().positions.iterate(),
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

function endingColumns(ending: Ending): EndingColumns {
  const { status, sentAtMs, durationMs, httpStatus, reason, message } = ending;
  return [status, sentAtMs, durationMs, httpStatus, reason, message];
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

type Key = [second: number, jobKey: number, run: string];

function prepareStatements(db: Sqlite, number: number) {
  const executions = `executions_${number}`;
  const attempts = `attempts_${number}`;
  const ending = "status, sent_at_ms, duration_ms, http_status, reason, message";
  const execution = `second, run, decided_by, attempt_count, trigger, ${ending}`;
  // Each rides on the primary key (second, job_key, run), unless it says otherwise.
  return {
    insert: db.prepare<[...Key, decidedBy: number, attemptCount: number, trigger: number, ...EndingColumns]>(
      `insert into ${executions} (second, job_key, run, decided_by, attempt_count, trigger, ${ending})
       values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict do nothing`,
    ),
    update: db.prepare<[decidedBy: number, attemptCount: number, ...EndingColumns, ...Key]>(
      `update ${executions} set decided_by = ?, attempt_count = ?, status = ?, sent_at_ms = ?,
         duration_ms = ?, http_status = ?, reason = ?, message = ?
       where second = ? and job_key = ? and run = ?`,
    ),
    putAttempt: db.prepare<[...Key, attempt: number, ...EndingColumns]>(
      `insert or replace into ${attempts} (second, job_key, run, attempt, ${ending})
       values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    ),
    has: db.prepare<Key, number>(`select 1 from ${executions} where second = ? and job_key = ? and run = ?`).pluck(),
    find: db.prepare<Key, ExecutionRow>(
      `select ${execution} from ${executions} where second = ? and job_key = ? and run = ?`,
    ),
    state: db.prepare<Key, ExecutionState>(
      `select status, attempt_count as attemptCount from ${executions} where second = ? and job_key = ? and run = ?`,
    ),
    attempts: db.prepare<Key, AttemptRow>(
      `select attempt, ${ending} from ${attempts} where second = ? and job_key = ? and run = ? order by attempt`,
    ),
    // Rides on executions_<n>_by_job (job_key, second, run).
    listEnded: db.prepare<[jobKey: number, second: number, run: string, limit: number], ExecutionRow>(
      `select ${execution} from ${executions}
       where job_key = ? and (second, run) < (?, ?) and status <> ${ExecutionStatus.RETRYING}
       order by second desc, run desc limit ?`,
    ),
    positions: db
      .prepare<[], [jobKey: number, second: number, run: string]>(`select job_key, second, run from ${executions}`)
      .raw(),
  };
}
