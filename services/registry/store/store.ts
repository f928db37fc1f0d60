import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Startable } from "../../platform/process/lifecycle.ts";
import { openSqlite, type Sqlite } from "../../platform/sql/sqlite.ts";
import { type Committer, createCommitter } from "./committer.ts";
import { createJobRows, type JobRows } from "./job-rows.ts";
import { migrations } from "./migrations.ts";
import { createOutboxRows, type OutboxRows } from "./outbox-rows.ts";
import { createRequestRows, type RequestRows } from "./request-rows.ts";
import { createStreamMarks, type StreamMarks } from "./stream-mark.ts";

/** The tables. Reads may be made at any time, writes only within a commit. */
export interface Tables {
  readonly jobs: JobRows;
  readonly outbox: OutboxRows;
  readonly requests: RequestRows;
  readonly streamMarks: StreamMarks;
}

/** The registry's memory: SQLite in <data folder>/registry/registry.db. Usable between start and stop. */
export interface Store extends Startable, Tables {
  readonly commit: Committer["commit"];
  /** Calls back after each commit; the returned function ends that. */
  onCommitted(callback: () => void): () => void;
}

export function createStore(config: { dataDir: string }): Store {
  const listeners = new Set<() => void>();
  const committed = () => {
    for (const listener of listeners) listener();
  };
  let opened: { db: Sqlite; tables: Tables; committer: Committer } | undefined;
  const open = () => {
    if (!opened) throw new Error("the store is used before it was started or after it was stopped");
    return opened;
  };
  return {
    get jobs() {
      return open().tables.jobs;
    },
    get outbox() {
      return open().tables.outbox;
    },
    get requests() {
      return open().tables.requests;
    },
    get streamMarks() {
      return open().tables.streamMarks;
    },
    commit: (work, weight) => open().committer.commit(work, weight),
    onCommitted(callback) {
      listeners.add(callback);
      return () => listeners.delete(callback);
    },
    async start() {
      if (opened) return;
      const folder = join(config.dataDir, "registry");
      mkdirSync(folder, { recursive: true });
      const db = openSqlite(join(folder, "registry.db"), migrations);
      const tables = {
        jobs: createJobRows(db),
        outbox: createOutboxRows(db),
        requests: createRequestRows(db),
        streamMarks: createStreamMarks(db),
      };
      opened = { db, tables, committer: createCommitter(db, committed) };
    },
    async stop() {
      if (!opened) return;
      const { db, committer } = opened;
      await committer.drain();
      opened = undefined;
      db.close();
    },
  };
}
