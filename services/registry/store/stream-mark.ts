import type { Sqlite } from "../../platform/sql/sqlite.ts";

/** What the registry knows of the JOBS stream that it publishes to. */
export interface StreamMark {
  /** Counts the streams (and the losses within one) so far; part of each message id. */
  epoch: number;
  /** The creation instant that the broker gives the stream; empty before the first. */
  created: string;
  /** The highest sequence that the broker has acknowledged. */
  sequence: number;
  /** While the stream is filled anew: jobs up to this id are in it. */
  rebuiltUpTo: string | undefined;
}

export interface StreamMarks {
  read(): StreamMark;
  write(mark: StreamMark): void;
}

export function createStreamMarks(db: Sqlite): StreamMarks {
  const get = db.prepare<[], { value: string }>(`select value from meta where key = 'jobs_stream'`);
  const put = db.prepare(`insert or replace into meta values ('jobs_stream', ?)`);
  return {
    read() {
      const row = get.get();
      if (!row) return { epoch: 0, created: "", sequence: 0, rebuiltUpTo: undefined };
      const { epoch, created, sequence, rebuiltUpTo } = JSON.parse(row.value) as StreamMark;
      return { epoch, created, sequence, rebuiltUpTo };
    },
    write: (mark) => put.run(JSON.stringify(mark)),
  };
}
