import type { Subscription } from "nats";
import type { Broker } from "../../platform/jetstream/broker.ts";
import type { Clock } from "../../platform/process/clock.ts";
import type { Startable } from "../../platform/process/lifecycle.ts";
import { readExecutorBeat } from "../../wire/executor-beat.ts";
import { lastTokenOfSubject, subjects } from "../../wire/subjects.ts";

/** How far the executors that are alive have seen the changes of jobs, as they say themselves. */
export interface ExecutorsSeen extends Startable {
  /** Resolves when each of them has seen JOBS up to a sequence. Who falls silent is not waited for. */
  seen(sequence: number): Promise<void>;
}

// They say so each second.
const heardByMs = 1_200;
const silentAfterMs = 3_000;

interface Waiter {
  sequence: number;
  resolve: () => void;
}

export function createExecutorsSeen(broker: Broker, { clock }: { clock: Clock }): ExecutorsSeen {
  const executors = new Map<string, { jobsSequence: number; heardAtMs: number }>();
  const waiters = new Set<Waiter>();
  let subscription: Subscription | undefined;
  /** Before it has listened for a second it does not know who is there. */
  let listeningSinceMs = Number.NEGATIVE_INFINITY;
  let endReconnect: (() => void) | undefined;

  const haveSeen = (sequence: number) => {
    if (clock.monotonicMs() - listeningSinceMs < heardByMs) return false;
    const before = clock.monotonicMs() - silentAfterMs;
    for (const [run, { jobsSequence, heardAtMs }] of executors) {
      if (heardAtMs < before) executors.delete(run);
      else if (jobsSequence < sequence) return false;
    }
    return true;
  };

  const listen = () => {
    listeningSinceMs = clock.monotonicMs();
    // Nobody may be there to say anything.
    clock.after(heardByMs, lookAtWaiters);
  };
  const lookAtWaiters = () => {
    for (const waiter of waiters) {
      if (!haveSeen(waiter.sequence)) continue;
      waiters.delete(waiter);
      waiter.resolve();
    }
  };

  return {
    seen(sequence) {
      if (haveSeen(sequence)) return Promise.resolve();
      return new Promise((resolve) => {
        const waiter = { sequence, resolve };
        waiters.add(waiter);
        // Nobody may say anything any more.
        clock.after(silentAfterMs, () => {
          waiters.delete(waiter);
          resolve();
        });
      });
    },
    async start() {
      if (subscription) return;
      listen();
      endReconnect = broker.onReconnect(listen);
      subscription = broker.nc.subscribe(subjects.executorBeats, {
        callback: (error, message) => {
          if (error) return;
          const run = lastTokenOfSubject(message.subject);
          const { live, jobsSequence } = readExecutorBeat(message.data);
          if (live) executors.set(run, { jobsSequence, heardAtMs: clock.monotonicMs() });
          else executors.delete(run);
          lookAtWaiters();
        },
      });
    },
    async stop() {
      endReconnect?.();
      if (subscription && !broker.nc.isClosed()) subscription.unsubscribe();
      subscription = undefined;
      for (const { resolve } of waiters) resolve();
      waiters.clear();
    },
  };
}
