import type { Sqlite } from "../../platform/sql/sqlite.ts";

export type RequestScope = "create" | "run";

export interface RequestRow {
  /** Of the contents of the first call. */
  fingerprint: Uint8Array;
  /** What the first call was answered. */
  answer: Uint8Array;
}

export interface RequestRows {
  /** Undefined when it was never used, or before `sinceMs`. */
  get(scope: RequestScope, requestId: string, sinceMs: number): RequestRow | undefined;
  put(scope: RequestScope, requestId: string, row: RequestRow, createdMs: number): void;
  /** Removes up to `limit` of those before an instant; returns how many there were. */
  expire(beforeMs: number, limit: number): number;
}

export function createRequestRows(db: Sqlite): RequestRows {
  // By the primary key.
  const get = db.prepare<[string, string, number], RequestRow>(
    `select fingerprint, answer from requests where scope = ? and request_id = ? and created_ms >= ?`,
  );
  // Replaces one that has expired and is not swept yet.
  const put = db.prepare(`insert or replace into requests values (?, ?, ?, ?, ?)`);
  // By requests_created.
  const expire = db.prepare(
    `delete from requests where rowid in (select rowid from requests where created_ms < ? limit ?)`,
  );
  return {
    get: (scope, requestId, sinceMs) => get.get(scope, requestId, sinceMs),
    put(scope, requestId, { fingerprint, answer }, createdMs) {
      put.run(scope, requestId, fingerprint, answer, createdMs);
    },
    expire: (beforeMs, limit) => expire.run(beforeMs, limit).changes,
  };
}
