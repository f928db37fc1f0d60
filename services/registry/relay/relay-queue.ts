import { allLanes, type Lane, lanes, type OutboxKey, type OutboxRow } from "../store/outbox-rows.ts";
import type { Store } from "../store/store.ts";

/** A page of the rebuild; done when none of its jobs is left. */
export interface RebuildPage {
  readonly lastJobId: string;
  left: number;
}

/** Something to publish: a job's state, on account of outbox rows or of a rebuild, or a manual run. */
export interface RelayTask {
  jobId: string;
  keys: OutboxKey[];
  page: RebuildPage | undefined;
  run: OutboxRow["run"];
}

/** What the relay has to publish, next first: the lanes of the outbox, then the rebuild. */
export interface RelayQueue {
  take(): RelayTask | undefined;
  /** The next of those that somebody waits for: changes and manual runs. */
  takeChange(): RelayTask | undefined;
  /** Begins the page of the rebuild that follows a job; "end" when there is none. */
  nextRebuildPage(afterId: string): RebuildPage | "end";
  /** Drops what is left of a page: another rebuild begins. */
  dropRebuildPage(): void;
}

const pageRows = 256;

export function createRelayQueue(store: Store): RelayQueue {
  const read = new Map<Lane, { rows: OutboxRow[]; at: number; cursor: number }>(
    allLanes.map((lane) => [lane, { rows: [], at: 0, cursor: 0 }]),
  );
  let rebuildJobs: string[] = [];
  let rebuildPage: RebuildPage | undefined;

  const takeOf = (lane: Lane): OutboxRow | undefined => {
    const place = read.get(lane);
    if (!place) return undefined;
    if (place.at === place.rows.length) {
      // Nothing is behind the cursor: no need to ask.
      if (place.cursor >= store.outbox.lastId(lane)) return undefined;
      place.rows = store.outbox.read(lane, place.cursor, pageRows);
      place.at = 0;
    }
    const row = place.rows[place.at++];
    if (row) place.cursor = row.id;
    // Rows that were removed by a process before this one leave gaps.
    else place.cursor = store.outbox.lastId(lane);
    return row;
  };

  const taskOf = (lane: Lane): RelayTask | undefined => {
    const row = takeOf(lane);
    return row && { jobId: row.jobId, keys: [{ lane, id: row.id }], page: undefined, run: row.run };
  };

  return {
    takeChange: () => taskOf(lanes.change),
    take() {
      for (const lane of allLanes) {
        const task = taskOf(lane);
        if (task) return task;
      }
      const jobId = rebuildJobs.pop();
      return jobId === undefined ? undefined : { jobId, keys: [], page: rebuildPage, run: undefined };
    },
    nextRebuildPage(afterId) {
      const rows = store.jobs.list(afterId, pageRows);
      const last = rows.at(-1);
      if (!last) return "end";
      // A timing that was never published waits in the outbox, and goes out from there.
      rebuildJobs = rows.filter((row) => row.timingSequence !== 0).map((row) => row.jobId);
      rebuildPage = { lastJobId: last.jobId, left: rebuildJobs.length };
      return rebuildPage;
    },
    dropRebuildPage() {
      rebuildJobs = [];
      rebuildPage = undefined;
    },
  };
}
