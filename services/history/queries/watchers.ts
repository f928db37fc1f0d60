import type { Startable } from "../../platform/process/lifecycle.ts";
import { RpcError, stoppingError } from "../../platform/rpc/errors/rpc-error.ts";
import type { ExecutionRecord } from "../records/execution-record.ts";

export interface Watch extends AsyncIterable<ExecutionRecord> {
  /** Ends it, from either side. */
  close(): void;
}

/** The open live streams; each gets the executions of one job as they end. */
export interface Watchers extends Startable {
  /**
   * Everything that is announced from this call on comes through the watch. What
   * was announced before can be read from the store already, so that whoever
   * watches first and lists then misses nothing. It fails with RESOURCE_EXHAUSTED when its reader falls too
   * far behind and with UNAVAILABLE when the service stops; throws
   * RESOURCE_EXHAUSTED when there are too many.
   */
  watch(jobId: string): Watch;
  /** Tells of executions that ended. To be called after their commit; with one again only when it ends otherwise since. */
  announce(ended: readonly ExecutionRecord[]): void;
}

export interface WatchersConfig {
  maxWatchers: number;
  /** Executions that may wait for one slow reader. */
  maxBuffered: number;
}

export const watchersDefaults: WatchersConfig = { maxWatchers: 1_000, maxBuffered: 1_000 };

interface Watcher {
  push(record: ExecutionRecord): void;
  fail(error: RpcError): void;
}

export function createWatchers(
  config: WatchersConfig,
  deps: {
    /** Told how many watches are open. */
    onCount?: (count: number) => void;
  },
): Watchers {
  const byJob = new Map<string, Set<Watcher>>();
  let count = 0;
  let stopped = false;

  const setCount = (value: number) => {
    count = value;
    deps.onCount?.(count);
  };
  const remove = (jobId: string, watcher: Watcher) => {
    const watching = byJob.get(jobId);
    if (!watching?.delete(watcher)) return;
    if (watching.size === 0) byJob.delete(jobId);
    setCount(count - 1);
  };

  return {
    watch(jobId) {
      if (stopped) throw stoppingError();
      if (count >= config.maxWatchers) {
        throw new RpcError("RESOURCE_EXHAUSTED", `${config.maxWatchers} streams are open already`, {
          reason: "TOO_MANY_WATCHERS",
        });
      }
      const buffer = createBuffer(config.maxBuffered, () => remove(jobId, buffer));
      const watching = byJob.get(jobId) ?? new Set();
      byJob.set(jobId, watching.add(buffer));
      setCount(count + 1);
      return buffer;
    },
    announce(ended) {
      if (count === 0) return;
      for (const record of ended) {
        const watching = byJob.get(record.jobId);
        if (watching) for (const watcher of [...watching]) watcher.push(record);
      }
    },
    async start() {},
    async stop() {
      stopped = true;
      for (const watching of [...byJob.values()]) for (const watcher of [...watching]) watcher.fail(stoppingError());
    },
  };
}

/** What waits for one reader. `onEnd` is called once, however it ends. */
function createBuffer(maxBuffered: number, onEnd: () => void): Watch & Watcher {
  const waiting: ExecutionRecord[] = [];
  let wake: (() => void) | undefined;
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
    push(record) {
      if (ended) return;
      if (waiting.length >= maxBuffered) {
        waiting.length = 0;
        const what = `${maxBuffered} executions were waiting to be read`;
        return fail(new RpcError("RESOURCE_EXHAUSTED", what, { reason: "WATCHER_TOO_SLOW" }));
      }
      waiting.push(record);
      wake?.();
    },
    fail,
    close: end,
    async *[Symbol.asyncIterator]() {
      try {
        for (;;) {
          const record = waiting.shift();
          if (record) yield record;
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
