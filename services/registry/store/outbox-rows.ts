import type { Sqlite } from "../../platform/sql/sqlite.ts";

/**
 * Which rows go first: what changes a job or runs it now waits behind no bulk
 * load, and neither does a job that somebody creates by hand.
 */
export const lanes = { change: 0, create: 1, batchCreate: 2 } as const;

export type Lane = (typeof lanes)[keyof typeof lanes];

export const allLanes: readonly Lane[] = [lanes.change, lanes.create, lanes.batchCreate];

export interface OutboxKey {
  lane: Lane;
  id: number;
}

/** A job's new state, to be read from its row when it is published, or a manual run, ready to publish. */
export interface OutboxRow extends OutboxKey {
  jobId: string;
  run: { executionId: string; payload: Uint8Array } | undefined;
}

export interface OutboxRows {
  addJob(lane: Lane, jobId: string): void;
  addRun(lane: Lane, jobId: string, executionId: string, payload: Uint8Array): void;
  /** In order, from after `afterId` on. */
  read(lane: Lane, afterId: number, limit: number): OutboxRow[];
  remove(key: OutboxKey): void;
  /** The highest id that a lane has handed out: nothing is to be read behind it. */
  lastId(lane: Lane): number;
  count(): number;
}

interface RawRow {
  lane: Lane;
  id: number;
  jobId: string;
  executionId: string | null;
  payload: Uint8Array | null;
}

export function createOutboxRows(db: Sqlite): OutboxRows {
  const insert = db.prepare(`insert into outbox values (?, ?, ?, ?, ?)`);
  // Both by the primary key.
  const read = db.prepare<[number, number, number], RawRow>(
    `select lane, id, job_id as jobId, execution_id as executionId, payload
       from outbox where lane = ? and id > ? order by id limit ?`,
  );
  const remove = db.prepare(`delete from outbox where lane = ? and id = ?`);
  const highest = db.prepare<[number], { id: number | null }>(`select max(id) as id from outbox where lane = ?`);
  const count = db.prepare<[], { n: number }>(`select count(*) as n from outbox`);

  // One process writes; ids may begin anew once a lane has run empty and the process ended.
  const lastIds = new Map<Lane, number>(allLanes.map((lane) => [lane, highest.get(lane)?.id ?? 0]));
  const nextId = (lane: Lane) => {
    const id = (lastIds.get(lane) ?? 0) + 1;
    lastIds.set(lane, id);
    return id;
  };

  return {
    addJob(lane, jobId) {
      insert.run(lane, nextId(lane), jobId, null, null);
    },
    addRun(lane, jobId, executionId, payload) {
      insert.run(lane, nextId(lane), jobId, executionId, payload);
    },
    read(lane, afterId, limit) {
      return read.all(lane, afterId, limit).map(({ id, jobId, executionId, payload }) => ({
        lane,
        id,
        jobId,
        run: executionId !== null && payload !== null ? { executionId, payload } : undefined,
      }));
    },
    remove({ lane, id }) {
      remove.run(lane, id);
    },
    lastId: (lane) => lastIds.get(lane) ?? 0,
    count: () => count.get()?.n ?? 0,
  };
}
