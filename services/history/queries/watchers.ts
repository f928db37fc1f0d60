import type { Clock } from "../../platform/process/clock.ts";
import type { Startable } from "../../platform/process/lifecycle.ts";
import { RpcError, stoppingError } from "../../platform/rpc/errors/rpc-error.ts";
import type { ExecutionRecord } from "../records/execution-record.ts";
import type { EndingPlace } from "../store/contract.ts";

/** What a watch tells: an execution that ended, with the place behind it, or the place alone. */
export interface Told {
  record?: ExecutionRecord;
  place: EndingPlace;
}

export interface Watch extends AsyncIterable<Told> {
  /** Lets through what is announced from here on. Before that the watch has its place, and drops everything. */
  listen(): void;
  /** Ends it, from either side. */
  close(): void;
  /** Whether it has ended, though what waits in it may not have been read. */
  isOver(): boolean;
}

/** The open live streams; each gets the executions of one job as they end. */
export interface Watchers extends Startable {
  /**
   * Everything that is announced after its `listen()` comes through the watch. What was announced before can be read
   * from the store already, so that whoever listens first and reads then misses nothing. It fails with
   * RESOURCE_EXHAUSTED when its reader falls too far behind and with UNAVAILABLE when the service stops; throws
   * RESOURCE_EXHAUSTED when there are too many.
   */
  watch(jobId: string, options?: { bookmarks: boolean }): Watch;
  /**
   * Tells of executions that ended in a commit, in their order. To be called after it; with one again only when it ends
   * otherwise since. `place`: behind all of them.
   */
  announce(ended: readonly ExecutionRecord[], place: EndingPlace): void;
}

export interface WatchersConfig {
  maxWatchers: number;
  /** Executions that may wait for one slow reader. */
  maxBuffered: number;
}

export const watchersDefaults: WatchersConfig = { maxWatchers: 1_000, maxBuffered: 1_000 };

/** A place that grows too old cannot be gone on from: whoever is told nothing else is told it at times. */
const bookmarkMs = 15_000;

interface Watcher {
  push(told: Told): void;
  fail(error: RpcError): void;
}

export function createWatchers(
  config: WatchersConfig,
  deps: {
    clock: Clock;
    /** Told how many watches are open. */
    onCount?: (count: number) => void;
  },
): Watchers {
  const byJob = new Map<string, Set<Watcher>>();
  const withBookmarks = new Set<Watcher>();
  let count = 0;
  let stopped = false;
  let cancelBookmarks = () => {};
  /** Behind all that was announced since the last bookmarks. */
  let latest: EndingPlace | undefined;

  const setCount = (value: number) => {
    count = value;
    deps.onCount?.(count);
  };
  const remove = (jobId: string, watcher: Watcher) => {
    const watching = byJob.get(jobId);
    if (!watching?.delete(watcher)) return;
    if (watching.size === 0) byJob.delete(jobId);
    withBookmarks.delete(watcher);
    setCount(count - 1);
  };
  const sendBookmarks = () => {
    cancelBookmarks = deps.clock.after(bookmarkMs, sendBookmarks);
    if (!latest) return;
    for (const watcher of [...withBookmarks]) watcher.push({ place: latest });
    latest = undefined;
  };

  return {
    watch(jobId, { bookmarks } = { bookmarks: false }) {
      if (stopped) throw stoppingError();
      if (count >= config.maxWatchers) {
        throw new RpcError("RESOURCE_EXHAUSTED", `${config.maxWatchers} streams are open already`, {
          reason: "TOO_MANY_WATCHERS",
        });
      }
      const buffer = createBuffer(config.maxBuffered, () => remove(jobId, buffer));
      const watching = byJob.get(jobId) ?? new Set();
      byJob.set(jobId, watching.add(buffer));
      if (bookmarks) withBookmarks.add(buffer);
      setCount(count + 1);
      return buffer;
    },
    announce(ended, place) {
      latest = place;
      if (count === 0) return;
      const before = place.count - ended.length;
      for (const [i, record] of ended.entries()) {
        const watching = byJob.get(record.jobId);
        if (!watching) continue;
        const told = { record, place: { ...place, count: before + i + 1 } };
        for (const watcher of [...watching]) watcher.push(told);
      }
    },
    async start() {
      cancelBookmarks = deps.clock.after(bookmarkMs, sendBookmarks);
    },
    async stop() {
      stopped = true;
      cancelBookmarks();
      for (const watching of [...byJob.values()]) for (const watcher of [...watching]) watcher.fail(stoppingError());
    },
  };
}

/** What waits for one reader. `onEnd` is called once, however it ends. */
function createBuffer(maxBuffered: number, onEnd: () => void): Watch & Watcher {
  const waiting: Told[] = [];
  let wake: (() => void) | undefined;
  let listening = false;
  let ended = false;
  let failure: RpcError | undefined;

  const end = () => {
    if (ended) return;
    ended = true;
    onEnd();
    wake?.();
  };
  const fail = (error: RpcError) => {
    failure ??= error;
    end();
  };
  return {
    listen() {
      listening = true;
    },
    push(told) {
      if (ended || !listening) return;
      if (waiting.length >= maxBuffered) {
        waiting.length = 0;
        const what = `${maxBuffered} executions were waiting to be read`;
        return fail(new RpcError("RESOURCE_EXHAUSTED", what, { reason: "WATCHER_TOO_SLOW" }));
      }
      waiting.push(told);
      wake?.();
    },
    fail,
    close: end,
    isOver: () => ended,
    async *[Symbol.asyncIterator]() {
      try {
        for (;;) {
          const told = waiting.shift();
          if (told) yield told;
          else if (failure) throw failure;
          else if (ended) return;
          else {
            await new Promise<void>((resolve) => {
              wake = resolve;
            });
            wake = undefined;
          }
        }
      } finally {
        end();
      }
    },
  };
}
