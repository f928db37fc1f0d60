import { afterThisTurn } from "../../../platform/process/clock.ts";
import type { Sqlite } from "../../../platform/sql/sqlite.ts";
import type { Sealing } from "./sealing.ts";

/** Does what nobody waits for, between calls: seals full segments, and gives free pages back to the disk. */
export interface Upkeep {
  /** To be called when there may be something to do. */
  wake(): void;
  stop(): void;
}

/** 5 ms of work. */
const pagesPerStep = 256;
/** What is forgotten makes room for what comes: so much of the file may be free. */
const freeShare = 1 / 16;
const freePages = 256;

export function createUpkeep(db: Sqlite, sealing: Sealing, onFailure: (error: unknown) => void): Upkeep {
  let awake = false;
  let stopped = false;
  let shrunk = false;
  const count = (pragma: string) => Number(db.pragma(pragma, { simple: true }));
  const isLoose = () => count("freelist_count") > Math.max(freePages, count("page_count") * freeShare);

  /** Whether there was something to do. */
  const step = (): boolean => {
    if (sealing.pending()) sealing.step();
    else if (isLoose()) {
      db.pragma(`incremental_vacuum(${pagesPerStep})`);
      shrunk = true;
    } else if (shrunk) {
      // The file itself becomes shorter when the write-ahead log is carried over to it.
      db.pragma("wal_checkpoint(passive)");
      shrunk = false;
    } else return false;
    return true;
  };
  const turn = () => {
    awake = false;
    if (stopped) return;
    try {
      // Repeated after a power cut: it needs no fsync of its own, and is on disk with the next commit.
      db.pragma("synchronous = NORMAL");
      if (step()) wake();
    } catch (error) {
      onFailure(error);
    } finally {
      db.pragma("synchronous = FULL");
    }
  };
  const wake = () => {
    if (awake || stopped) return;
    awake = true;
    afterThisTurn(turn);
  };
  return {
    wake,
    stop() {
      stopped = true;
    },
  };
}
