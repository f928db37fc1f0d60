import type { Sqlite } from "../../../platform/sql/sqlite.ts";
import { allLanes, type Lane, type ManualRun, type OutboxEntry, type OutboxKey } from "../contract.ts";

export interface OutboxRows {
  addJob(lane: Lane, jobId: string): void;
  addRun(lane: Lane, jobId: string, run: ManualRun): void;
  /** Hands out what it has not handed out since it was opened. */
  take(lanes: readonly Lane[], limit: number): OutboxEntry[];
  remove(key: OutboxKey): void;
  count(): number;
  /** How much it holds: an entry counts 1, a run 1 more for each 256 bytes of its message. */
  weight(): number;
  /** A transaction stands, or was undone: then what it had added and removed does not count. */
  ended(how: "committed" | "undone"): void;
}

const bytesPerWeight = 256;

interface RawRow {
  id: number;
  jobId: string;
  executionId: string | null;
  payload: Uint8Array | null;
}

export function createOutboxRows(db: Sqlite): OutboxRows {
  const insert = db.prepare(`insert into outbox values (?, ?, ?, ?, ?)`);
  // Both by the primary key.
  const read = db.prepare<[number, number, number], RawRow>(
    `select id, job_id as jobId, execution_id as executionId, payload
       from outbox where lane = ? and id > ? order by id limit ?`,
  );
  const remove = db.prepare(`delete from outbox where lane = ? and id = ?`);
  // Reads the whole table, once.
  const runs = db.prepare<[], { lane: Lane; id: number; bytes: number }>(
    `select lane, id, length(payload) as bytes from outbox where payload is not null`,
  );
  const highest = db.prepare<[number], { id: number | null }>(`select max(id) as id from outbox where lane = ?`);
  const count = db.prepare<[], { n: number }>(`select count(*) as n from outbox`);

  // One store writes; ids may begin anew once a lane has run empty and the process ended.
  const lastIds = new Map<Lane, number>(allLanes.map((lane) => [lane, highest.get(lane)?.id ?? 0]));
  /** Up to where each lane is handed out. */
  const cursors = new Map<Lane, number>();
  // What counts, as it is after the transaction that is being made and as it was before.
  let weight = 0;
  let weightBefore = 0;
  /** Of the runs, what they count beside 1. */
  const runWeights = new Map<string, number>();
  const runsBefore = new Map<string, number | undefined>();
  const noteRun = (key: string, more: number | undefined) => {
    const before = runWeights.get(key);
    if (before === more) return;
    if (!runsBefore.has(key)) runsBefore.set(key, before);
    weight += (more ?? 0) - (before ?? 0);
    if (more === undefined) runWeights.delete(key);
    else runWeights.set(key, more);
  };
  const ended = (how: "committed" | "undone") => {
    if (how === "undone") for (const [key, before] of runsBefore) noteRun(key, before);
    weight = how === "undone" ? weightBefore : weight;
    weightBefore = weight;
    runsBefore.clear();
  };
  weight = count.get()?.n ?? 0;
  for (const { lane, id, bytes } of runs.all()) noteRun(keyOf(lane, id), weightOf(bytes));
  ended("committed");
  const nextId = (lane: Lane) => {
    const id = (lastIds.get(lane) ?? 0) + 1;
    lastIds.set(lane, id);
    return id;
  };

  return {
    addJob(lane, jobId) {
      insert.run(lane, nextId(lane), jobId, null, null);
      weight++;
    },
    addRun(lane, jobId, { executionId, payload }) {
      const id = nextId(lane);
      insert.run(lane, id, jobId, executionId, payload);
      weight++;
      noteRun(keyOf(lane, id), weightOf(payload.length));
    },
    take(wanted, limit) {
      const entries: OutboxEntry[] = [];
      const reached = new Map<Lane, number>();
      for (const lane of wanted) {
        const cursor = cursors.get(lane) ?? 0;
        const lastId = lastIds.get(lane) ?? 0;
        const room = limit - entries.length;
        // Nothing is behind the cursor: no need to ask.
        if (room <= 0 || cursor >= lastId) continue;
        const rows = read.all(lane, cursor, room);
        for (const row of rows) entries.push(entryOf(lane, row));
        // A lane that was read to its end has nothing up to the last id: removed rows and failed writes leave gaps.
        reached.set(lane, rows.length < room ? lastId : (rows.at(-1)?.id ?? lastId));
      }
      // The cursors move only after all reads succeeded: a failed read hands out nothing.
      for (const [lane, id] of reached) cursors.set(lane, id);
      return entries;
    },
    remove({ lane, id }) {
      weight -= remove.run(lane, id).changes;
      noteRun(keyOf(lane, id), undefined);
    },
    weight: () => weight,
    ended,
    count: () => count.get()?.n ?? 0,
  };
}

const keyOf = (lane: Lane, id: number) => `${lane}/${id}`;
const weightOf = (bytes: number) => Math.ceil(bytes / bytesPerWeight);

function entryOf(lane: Lane, { id, jobId, executionId, payload }: RawRow): OutboxEntry {
  const run = executionId !== null && payload !== null ? { executionId, payload } : undefined;
  return { key: { lane, id }, jobId, run };
}
