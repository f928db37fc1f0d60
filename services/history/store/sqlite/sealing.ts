import type { Position } from "../../../domain/identity/position.ts";
import type { Sqlite } from "../../../platform/sql/sqlite.ts";
import { createHoldingsWriter, inLists, type Link } from "./holdings.ts";
import { createHorizonReader, horizonOf } from "./horizon.ts";
import { createNewestReader, createNewestWriter, keptPerJob } from "./newest.ts";
import { keyOf, type Segments, type Unsealed } from "./segments.ts";

/** Writes the rows of full segments by job, a few at a time. */
export interface Sealing {
  /** Whether there is a full segment. */
  pending(): boolean;
  /** Writes some more of the oldest full one, in a transaction. When it throws the same is written the next time. */
  step(): void;
}

/** 5 to 10 ms of work: what a commit may have to wait for. */
const rowsPerStep = 2_000;

export function createSealing(db: Sqlite, segments: Segments): Sealing {
  const newestOf = createNewestReader(db);
  const newest = createNewestWriter(db);
  const readHorizon = createHorizonReader(db);
  const put = createHoldingsWriter(db);
  // The primary key (segment, job_key, ...).
  const deleteLate = db.prepare<[segment: number, jobKey: number]>(
    "delete from late_rows where segment = ? and job_key = ?",
  );
  const seal = db.prepare<[maxSecond: number, number: number]>(
    "update segments set sealed = 1, max_second = ? where number = ?",
  );
  const noteKey = db.prepare<[sealedKey: number, number: number]>(
    "update segments set sealed_key = ? where number = ?",
  );

  /** As it is during a step. It never passes a row that is not sealed. */
  let horizon = readHorizon();

  /** One job after the other; yields every now and then how many rows it has written. */
  function* write(segment: Unsealed): Generator<{ rows: number; sealedKey: number }> {
    const { number, index, retrying } = segment;
    let { sealedKey } = segment;
    const ended = (jobKey: number, { second, run }: Position) =>
      retrying.size === 0 || !retrying.has(keyOf({ jobKey, second, run }));
    for (const jobKey of index.jobKeys(sealedKey)) {
      let link: Link | undefined;
      let oldest = 0;
      let rows = 0;
      for (const list of inLists(index.newestFirst(jobKey))) {
        if (rows > 0) yield { rows, sealedKey };
        rows = list.length;
        if (!link) {
          const { segment: older, reach } = newestOf(jobKey);
          link = { older, reach: Math.max(reach, list[0]?.second ?? 0) };
        }
        oldest = list.at(-1)?.second ?? oldest;
        put(number, jobKey, list, link);
      }
      // As one: which of them have ended may have changed since the first was written.
      const from = horizonOf(horizon, jobKey);
      const recordedLate = oldest < from;
      const seconds: number[] = [];
      for (const position of index.newestFirst(jobKey)) {
        if (seconds.length >= keptPerJob && !recordedLate) break;
        if ((seconds.length < keptPerJob || position.second < from) && ended(jobKey, position)) {
          seconds.push(position.second);
        }
      }
      newest.count(jobKey, { ...newestOf(jobKey), segment: number, reach: link?.reach ?? 0 }, seconds, horizon);
      deleteLate.run(number, jobKey);
      sealedKey = jobKey;
      yield { rows, sealedKey };
    }
  }

  let writing: { segment: Unsealed; rows: ReturnType<typeof write> } | undefined;
  const step = db.transaction((segment: Unsealed): { sealedKey: number; done: boolean } => {
    horizon = readHorizon();
    if (writing?.segment !== segment) writing = { segment, rows: write(segment) };
    let { sealedKey } = segment;
    for (let rows = 0; rows < rowsPerStep; ) {
      const next = writing.rows.next();
      if (next.done) {
        seal.run(Math.max(0, segment.index.maxSecond), segment.number);
        return { sealedKey, done: true };
      }
      rows += next.value.rows;
      ({ sealedKey } = next.value);
    }
    noteKey.run(sealedKey, segment.number);
    return { sealedKey, done: false };
  });

  return {
    pending: () => segments.full.length > 0,
    step() {
      const [segment] = segments.full;
      if (!segment) return;
      try {
        const { sealedKey, done } = step(segment);
        segment.sealedKey = sealedKey;
        if (!done) return;
        writing = undefined;
        segments.dropSealed();
      } catch (error) {
        writing = undefined;
        throw error;
      }
    },
  };
}
