import { isAfter, type Position } from "../../../domain/identity/position.ts";
import type { Sqlite } from "../../../platform/sql/sqlite.ts";
import { type ExecutionRecord, hasEnded } from "../../records/execution-record.ts";
import { beforeAll, type ExecutionRows, readExecutionRows } from "./execution-rows.ts";
import { createHoldingsReader } from "./holdings.ts";
import { createHorizonReader, horizonOf } from "./horizon.ts";
import { createNewestReader } from "./newest.ts";
import type { Unsealed } from "./segments.ts";

export interface ListQuestion {
  jobKey: number;
  jobId: string;
  limit: number;
  before: Position | undefined;
}

/**
 * Lists the ended executions of a job, newest first, over one connection in one read transaction. It visits only
 * segments that have rows of the job, and yields after each, so that its caller can let others have a turn. What is
 * in memory is read before the first yield.
 */
export type Listing = (question: ListQuestion, unsealed: readonly Unsealed[]) => Generator<void, ExecutionRecord[]>;

export function createListing(db: Sqlite): Listing {
  const rows = readExecutionRows(db);
  const readHorizon = createHorizonReader(db);
  const newestOf = createNewestReader(db);
  const holdings = createHoldingsReader(db);

  return function* list({ jobKey, jobId, limit, before = beforeAll }, unsealed) {
    const found = new NewestFirst(limit);
    if (limit === 0) return [];
    const from = horizonOf(readHorizon(), jobKey);
    const newest = newestOf(jobKey);
    // Of a segment that is being sealed some jobs are complete on disk, and in their chain, already.
    const inMemory = unsealed.filter(({ sealedKey }) => jobKey > sealedKey);
    const read = (positions: Iterable<Position>) => {
      found.add(endedAmong(rows, { jobKey, jobId, limit }, positions));
    };
    for (const { index } of inMemory) read(index.newestFirst(jobKey, before));
    // They are behind the horizon, and what is in a segment's index lies before it.
    for (let next = newest.segment, reach = newest.reach; next !== 0; ) {
      if (found.isFullBefore(reach) || reach < from) break;
      yield;
      const at = holdings.link(next, jobKey);
      // Its segment was forgotten, and so were those behind it.
      if (!at) break;
      if (found.isFullBefore(at.reach)) break;
      read(holdings.positions(next, jobKey, before, from));
      ({ older: next, reach } = at);
    }
    const kept = new Set(newest.seconds.filter((second) => second < from && second <= before.second));
    for (const second of kept) {
      found.add(rows.endedAt(jobKey, jobId, second).filter((record) => isAfter(record, before)));
    }
    return found.all();
  };
}

/** The records at positions that come newest first, as many as are asked for. */
function endedAmong(
  rows: ExecutionRows,
  { jobKey, jobId, limit }: Pick<ListQuestion, "jobKey" | "jobId" | "limit">,
  positions: Iterable<Position>,
): ExecutionRecord[] {
  const records: ExecutionRecord[] = [];
  for (const position of positions) {
    const record = rows.find(jobKey, jobId, position);
    if (record && hasEnded(record)) records.push(record);
    if (records.length === limit) break;
  }
  return records;
}

/** The newest of several sorted lists, which mostly come one after the other. */
class NewestFirst {
  readonly #limit: number;
  #records: ExecutionRecord[] = [];

  constructor(limit: number) {
    this.#limit = limit;
  }

  add(records: readonly ExecutionRecord[]): void {
    const last = this.#records.at(-1);
    const [first] = records;
    const inOrder = !last || !first || isAfter(first, last);
    this.#records.push(...records);
    if (!inOrder) this.#records.sort((a, b) => (isAfter(a, b) ? 1 : -1));
    this.#records.length = Math.min(this.#records.length, this.#limit);
  }

  /** Whether it has all that it needs, and no record up to a second could come before its last one. */
  isFullBefore(second: number): boolean {
    const last = this.#records[this.#limit - 1];
    return last !== undefined && second < last.second;
  }

  all(): ExecutionRecord[] {
    return this.#records;
  }
}
