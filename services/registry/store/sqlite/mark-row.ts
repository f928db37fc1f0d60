import type { Sqlite } from "../../../platform/sql/sqlite.ts";
import type { StreamMark } from "../stream-mark.ts";

export interface MarkRow {
  read(): StreamMark;
  write(mark: StreamMark): void;
}

export function createMarkRow(db: Sqlite): MarkRow {
  const get = db.prepare<[], { value: string }>(`select value from meta where key = 'jobs_stream'`);
  const put = db.prepare(`insert or replace into meta values ('jobs_stream', ?)`);
  return {
    read() {
      const row = get.get();
      if (!row) return { edition: 0, created: "", sequence: 0, rebuiltUpTo: undefined };
      const { edition, created, sequence, rebuiltUpTo } = JSON.parse(row.value) as StreamMark;
      return { edition, created, sequence, rebuiltUpTo };
    },
    write: (mark) => put.run(JSON.stringify(mark)),
  };
}
