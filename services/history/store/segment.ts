import { ExecutionStatus, type ExecutionTrigger } from "../../../gen/carillon/v1/execution_pb.ts";
import type { Position } from "../../domain/identity/position.ts";
import type { Sqlite } from "../../platform/sql/sqlite.ts";
import type { AttemptResult, Ending } from "../../wire/attempt-result.ts";
import { type Attempt, begin, type ExecutionRecord } from "../results/disposition.ts";

interface OutcomeRow {
  status: ExecutionStatus;
  sent_at_ms: number;
  duration_ms: number;
  http_status: number;
  reason: string;
  message: string;
}

interface AttemptRow extends OutcomeRow {
  attempt: number;
}

interface ExecutionRow extends OutcomeRow {
  second: number;
  run: string;
  decided_by: number;
  attempt_count: number;
  trigger: ExecutionTrigger;
}

/** Where the rows after a position begin when there is none: no second is as great. */
const beforeAll: Position = { second: Number.MAX_SAFE_INTEGER, run: "" };

/** The rows of one segment. A position is that of one execution of the job. */
export interface Segment {
  readonly number: number;
  /** Adds the record that a result begins; false when there is one at its position already. */
  insert(jobKey: number, result: AttemptResult): boolean;
  /** Writes a record that is there already, as it is now. */
  update(jobKey: number, record: ExecutionRecord): void;
  has(jobKey: number, position: Position): boolean;
  find(jobKey: number, jobId: string, position: Position): ExecutionRecord | undefined;
  /** The newest of a job that are settled. Only a sealed segment has the index for it. */
  listSettled(jobKey: number, jobId: string, limit: number, before?: Position): ExecutionRecord[];
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

  const putAttempt = (jobKey: number, { second, run }: Position, attempt: Attempt) =>
    statements().putAttempt.run(second, jobKey, run, attempt.attempt, ...outcomeColumns(attempt));

  const recordOf = (jobKey: number, jobId: string, row: ExecutionRow): ExecutionRecord => {
    const { second, run, trigger } = row;
    const outcome = outcomeOf(row);
    const record = { jobId, second, run, trigger, decidedBy: row.decided_by, ...outcome };
    if (row.attempt_count === 0) return { ...record, attempts: [] };
    if (isWhole(row.decided_by, row.attempt_count)) return { ...record, attempts: [{ attempt: 1, ...outcome }] };
    const rows = statements().attempts.all(second, jobKey, run);
    return { ...record, attempts: rows.map((attempt) => ({ attempt: attempt.attempt, ...outcomeOf(attempt) })) };
  };

  return {
    number,
    insert(jobKey, result) {
      const { second, run } = result;
      const record = begin(result);
      const inserted = statements().insert.run(
        second,
        jobKey,
        run,
        record.decidedBy,
        result.attempt,
        record.trigger,
        ...outcomeColumns(record),
      );
      if (inserted.changes === 0) return false;
      if (!isWhole(record.decidedBy, result.attempt)) {
        for (const attempt of record.attempts) putAttempt(jobKey, record, attempt);
      }
      return true;
    },
    update(jobKey, record) {
      const { second, run, attempts } = record;
      const attemptCount = attempts.at(-1)?.attempt ?? 0;
      statements().update.run(record.decidedBy, attemptCount, ...outcomeColumns(record), second, jobKey, run);
      if (isWhole(record.decidedBy, attemptCount)) return;
      for (const attempt of attempts) putAttempt(jobKey, record, attempt);
    },
    has: (jobKey, { second, run }) => statements().has.get(second, jobKey, run) !== undefined,
    find(jobKey, jobId, { second, run }) {
      const row = statements().find.get(second, jobKey, run);
      return row && recordOf(jobKey, jobId, row);
    },
    listSettled(jobKey, jobId, limit, before = beforeAll) {
      const rows = statements().listSettled.all(jobKey, before.second, before.run, limit);
      return rows.map((row) => recordOf(jobKey, jobId, row));
    },
    positions: () => statements().positions.iterate(),
  };
}

/** Whether the row in executions tells all: its only attempt is a first one, and that decided it. */
function isWhole(decidedBy: number, attemptCount: number): boolean {
  return attemptCount === 0 || (decidedBy === 1 && attemptCount === 1);
}

type OutcomeColumns = [
  status: number,
  sentAtMs: number,
  durationMs: number,
  httpStatus: number,
  reason: string,
  message: string,
];

function outcomeColumns(outcome: Ending): OutcomeColumns {
  const { status, sentAtMs, durationMs, httpStatus, reason, message } = outcome;
  return [status, sentAtMs, durationMs, httpStatus, reason, message];
}

function outcomeOf(row: OutcomeRow): Ending {
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
  const outcome = "status, sent_at_ms, duration_ms, http_status, reason, message";
  const execution = `second, run, decided_by, attempt_count, trigger, ${outcome}`;
  // Each rides on the primary key (second, job_key, run), unless it says otherwise.
  return {
    insert: db.prepare<[...Key, decidedBy: number, attemptCount: number, trigger: number, ...OutcomeColumns]>(
      `INSERT INTO ${executions} (second, job_key, run, decided_by, attempt_count, trigger, ${outcome})
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
    ),
    update: db.prepare<[decidedBy: number, attemptCount: number, ...OutcomeColumns, ...Key]>(
      `UPDATE ${executions} SET decided_by = ?, attempt_count = ?, status = ?, sent_at_ms = ?,
         duration_ms = ?, http_status = ?, reason = ?, message = ?
       WHERE second = ? AND job_key = ? AND run = ?`,
    ),
    putAttempt: db.prepare<[...Key, attempt: number, ...OutcomeColumns]>(
      `INSERT OR REPLACE INTO ${attempts} (second, job_key, run, attempt, ${outcome})
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    ),
    has: db.prepare<Key, number>(`SELECT 1 FROM ${executions} WHERE second = ? AND job_key = ? AND run = ?`).pluck(),
    find: db.prepare<Key, ExecutionRow>(
      `SELECT ${execution} FROM ${executions} WHERE second = ? AND job_key = ? AND run = ?`,
    ),
    attempts: db.prepare<Key, AttemptRow>(
      `SELECT attempt, ${outcome} FROM ${attempts} WHERE second = ? AND job_key = ? AND run = ? ORDER BY attempt`,
    ),
    // Rides on executions_<n>_by_job (job_key, second, run).
    listSettled: db.prepare<[jobKey: number, second: number, run: string, limit: number], ExecutionRow>(
      `SELECT ${execution} FROM ${executions}
       WHERE job_key = ? AND (second, run) < (?, ?) AND status <> ${ExecutionStatus.RETRYING}
       ORDER BY second DESC, run DESC LIMIT ?`,
    ),
    positions: db
      .prepare<[], [jobKey: number, second: number, run: string]>(`SELECT job_key, second, run FROM ${executions}`)
      .raw(),
  };
}
