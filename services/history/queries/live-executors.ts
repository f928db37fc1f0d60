import type { Subscription } from "nats";
import type { Broker } from "../../platform/jetstream/broker.ts";
import type { Clock } from "../../platform/process/clock.ts";
import type { Startable } from "../../platform/process/lifecycle.ts";
import { readExecutorBeat } from "../../wire/executor-beat.ts";
import { lastTokenOfSubject, subjects } from "../../wire/subjects.ts";

/** Which runs of executors are alive, by their signs of life. */
export interface LiveExecutors extends Startable {
  /** Whether each of them is among those. Never before it has listened for as long as they are silent at most. */
  haveAll(runs: { has(run: string): boolean }): boolean;
}

// They say so each second.
const heardByMs = 1_200;
const silentAfterMs = 3_000;

export function createLiveExecutors(broker: Broker, { clock }: { clock: Clock }): LiveExecutors {
  const heardAtMs = new Map<string, number>();
  let listeningSinceMs = Number.POSITIVE_INFINITY;
  let subscription: Subscription | undefined;
  let endReconnect: (() => void) | undefined;
  const listen = () => {
    listeningSinceMs = clock.monotonicMs();
  };
  return {
    haveAll(runs) {
      const nowMs = clock.monotonicMs();
      if (nowMs - listeningSinceMs < heardByMs) return false;
      for (const [run, atMs] of heardAtMs) {
        if (atMs < nowMs - silentAfterMs) heardAtMs.delete(run);
        else if (!runs.has(run)) return false;
      }
      return true;
    },
    async start() {
      if (subscription) return;
      listen();
      endReconnect = broker.onReconnect(listen);
      subscription = broker.nc.subscribe(subjects.executorBeats, {
        callback(error, message) {
          if (error) return;
          const run = lastTokenOfSubject(message.subject);
          if (readExecutorBeat(message.data).live) heardAtMs.set(run, clock.monotonicMs());
          else heardAtMs.delete(run);
        },
      });
    },
    async stop() {
      endReconnect?.();
      if (subscription && !broker.nc.isClosed()) subscription.unsubscribe();
      subscription = undefined;
    },
  };
}
