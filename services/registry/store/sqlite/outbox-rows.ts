import type { Sqlite } from "../../../platform/sql/sqlite.ts";
import { allLanes, type Lane, type ManualRun, type OutboxEntry, type OutboxKey } from "../contract.ts";

export interface OutboxRows {
  addJob(lane: Lane, jobId: string): void;
  addRun(lane: Lane, jobId: string, run: ManualRun): void;
  /** Hands out what it has not handed out since it was opened. */
  take(lanes: readonly Lane[], limit: number): OutboxEntry[];
  remove(key: OutboxKey): void;
  count(): number;
}

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
  const highest = db.prepare<[number], { id: number | null }>(`select max(id) as id from outbox where lane = ?`);
  const count = db.prepare<[], { n: number }>(`select count(*) as n from outbox`);

  // One store writes; ids may begin anew once a lane has run empty and the process ended.
  const lastIds = new Map<Lane, number>(allLanes.map((lane) => [lane, highest.get(lane)?.id ?? 0]));
  /** Up to where each lane is handed out. */
  const cursors = new Map<Lane, number>();
  const nextId = (lane: Lane) => {
    const id = (lastIds.get(lane) ?? 0) + 1;
    lastIds.set(lane, id);
    return id;
  };

  return {
    addJob(lane, jobId) {
      insert.run(lane, nextId(lane), jobId, null, null);
    },
    addRun(lane, jobId, { executionId, payload }) {
      insert.run(lane, nextId(lane), jobId, executionId, payload);
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
      remove.run(lane, id);
    },
    count: () => count.get()?.n ?? 0,
  };
}

function entryOf(lane: Lane, { id, jobId, executionId, payload }: RawRow): OutboxEntry {
  const run = executionId !== null && payload !== null ? { executionId, payload } : undefined;
  return { key: { lane, id }, jobId, run };
}
