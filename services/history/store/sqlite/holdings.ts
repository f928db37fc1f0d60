import { isAfter, type Position } from "../../../domain/identity/position.ts";
import type { Sqlite } from "../../../platform/sql/sqlite.ts";
import { packPositions, unpackPositions } from "./position-list.ts";

/** Where a segment is in the chain of a job. */
export interface Link {
  /** The next older segment that has rows of the job; 0: there is none. */
  older: number;
  /** No row of the job here, or further down, is of a later second. */
  reach: number;
}

export interface HoldingsReader {
  /** Undefined when the segment was forgotten. */
  link(segment: number, jobKey: number): Link | undefined;
  /** The rows of a job, newest first, those before a position and not before a second. */
  positions(segment: number, jobKey: number, before: Position, from: number): Generator<Position>;
}

export function createHoldingsReader(db: Sqlite): HoldingsReader {
  // Both ride on the primary key (segment, job_key, oldest_second desc).
  const link = db.prepare<[segment: number, jobKey: number], Link>(
    "select older, reach from holdings where segment = ? and job_key = ? limit 1",
  );
  const lists = db
    .prepare<[segment: number, jobKey: number, before: number], Buffer>(
      `select positions from holdings where segment = ? and job_key = ? and oldest_second <= ?
       order by oldest_second desc`,
    )
    .pluck();
  return {
    link: (segment, jobKey) => link.get(segment, jobKey),
    *positions(segment, jobKey, before, from) {
      for (const list of lists.iterate(segment, jobKey, before.second)) {
        for (const position of unpackPositions(list)) {
          if (position.second < from) return;
          if (isAfter(position, before)) yield position;
        }
      }
    },
  };
}

/** Writes positions of a job in a segment, as many as go into one row. */
export function createHoldingsWriter(
  db: Sqlite,
): (segment: number, jobKey: number, positions: readonly Position[], link: Link) => void {
  // The same again after a crash or a rollback.
  const put = db.prepare<[segment: number, jobKey: number, oldest: number, list: Buffer, older: number, reach: number]>(
    "insert or replace into holdings (segment, job_key, oldest_second, positions, older, reach) values (?, ?, ?, ?, ?, ?)",
  );
  return (segment, jobKey, positions, { older, reach }) => {
    put.run(segment, jobKey, positions.at(-1)?.second ?? 0, packPositions(positions), older, reach);
  };
}

/** To read a list of so many takes 50 µs. */
const perList = 512;

/** Sorted positions in lists for a row each. The positions of one second are in one list. */
export function* inLists(positions: Iterable<Position>): Generator<Position[]> {
  let list: Position[] = [];
  for (const position of positions) {
    if (list.length >= perList && position.second !== list.at(-1)?.second) {
      yield list;
      list = [];
    }
    list.push(position);
  }
  if (list.length > 0) yield list;
}
