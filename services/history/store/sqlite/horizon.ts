import type { Sqlite } from "../../../platform/sql/sqlite.ts";

/**
 * How far what is old has been swept. Behind it only the last executions of each job are left, and those that wait for
 * a retry. They are listed by the seconds in `newest`, and all others by the index of their segment.
 */
export interface Horizon {
  second: number;
  jobKey: number;
}

/** Which rows of a job have not been swept: those from this second on. */
export function horizonOf({ second, jobKey }: Horizon, ofJob: number): number {
  return ofJob < jobKey ? second + 1 : second;
}

/** Reads it as it is in the state of the database that its caller sees. */
export function createHorizonReader(db: Sqlite): () => Horizon {
  const select = db.prepare<[], Horizon>("select swept_second as second, swept_job_key as jobKey from state");
  return () => select.get() ?? { second: 0, jobKey: 0 };
}
