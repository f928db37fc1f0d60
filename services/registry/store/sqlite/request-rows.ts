import type { Sqlite } from "../../../platform/sql/sqlite.ts";
import type { RememberedAnswer, RememberedCall } from "../contract.ts";

export type RequestScope = "create" | "run";

export interface RequestRows {
  /** Undefined when it was never used, or before `sinceMs`. */
  get(scope: RequestScope, requestId: string, sinceMs: number): RememberedAnswer | undefined;
  put(scope: RequestScope, call: RememberedCall): void;
  /** Removes up to `limit` of those before an instant; returns how many there were. */
  expire(beforeMs: number, limit: number): number;
}

export function createRequestRows(db: Sqlite): RequestRows {
  // By the primary key.
  const get = db.prepare<[string, string, number], RememberedAnswer>(
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
    put(scope, { requestId, fingerprint, answer, calledMs }) {
      put.run(scope, requestId, fingerprint, answer, calledMs);
    },
    expire: (beforeMs, limit) => expire.run(beforeMs, limit).changes,
  };
}
