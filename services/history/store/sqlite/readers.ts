import { afterThisTurn } from "../../../platform/process/clock.ts";
import { openSqliteReader, type Sqlite } from "../../../platform/sql/sqlite.ts";
import type { ExecutionRecord } from "../../records/execution-record.ts";
import { createListing, type Listing, type ListQuestion } from "./listing.ts";
import type { Unsealed } from "./segments.ts";

/** Lists over connections of their own: each sees one state of the file, while commits go on. */
export interface Readers {
  list(question: ListQuestion): Promise<ExecutionRecord[]>;
  /** Waits for the listings that are under way. */
  close(): Promise<void>;
}

interface Reader {
  db: Sqlite;
  list: Listing;
}

/** Others wait for one of them. Each has 8 MiB of pages at most. */
const maxReaders = 4;
const cacheKiB = 8_192;
/** A visit takes some 20 µs, and ten times that from a cold disk. */
const visitsPerTurn = 20;

export function createReaders(path: string, unsealed: () => readonly Unsealed[]): Readers {
  const all: Reader[] = [];
  const free: Reader[] = [];
  const waiting: (() => void)[] = [];
  const underWay = new Set<Promise<unknown>>();

  const open = (): Reader => {
    const db = openSqliteReader(path);
    db.pragma(`cache_size = -${cacheKiB}`);
    const reader = { db, list: createListing(db) };
    all.push(reader);
    return reader;
  };
  const take = async (): Promise<Reader> => {
    for (;;) {
      const reader = free.pop() ?? (all.length < maxReaders ? open() : undefined);
      if (reader) return reader;
      await new Promise<void>((resolve) => waiting.push(resolve));
    }
  };
  const list = async (question: ListQuestion): Promise<ExecutionRecord[]> => {
    const reader = await take();
    reader.db.exec("begin");
    try {
      const steps = reader.list(question, unsealed());
      // The transaction begins with its first read. What is in memory is read in the same turn.
      for (let visits = 1; ; visits++) {
        const step = steps.next();
        if (step.done) return step.value;
        if (visits % visitsPerTurn === 0) await new Promise<void>((resolve) => afterThisTurn(resolve));
      }
    } finally {
      reader.db.exec("rollback");
      free.push(reader);
      waiting.shift()?.();
    }
  };
  return {
    list(question) {
      const listing = list(question);
      underWay.add(listing);
      const over = () => underWay.delete(listing);
      listing.then(over, over);
      return listing;
    },
    async close() {
      await Promise.allSettled(underWay);
      for (const { db } of all) db.close();
    },
  };
}
