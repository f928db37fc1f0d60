import type { Subscription } from "nats";
import type { Broker } from "../../platform/jetstream/broker.ts";
import type { Clock } from "../../platform/process/clock.ts";
import type { Startable } from "../../platform/process/lifecycle.ts";
import { readExecutorBeat, writeExecutorBeat } from "../../wire/executor-beat.ts";
import { lastTokenOfSubject, subjects } from "../../wire/subjects.ts";

/** The signs of life of executors: says its own, and hears those of the others. */
export interface ExecutorBeats extends Startable {
  /** Changes of jobs were seen up to this sequence of JOBS: said at once, since answers to changes wait for it. */
  saw(jobsSequence: number): void;
  /** Whether a run of an executor may still be alive: what it left behind is its own then. */
  mayLive(run: string): boolean;
}

const everyMs = 1_000;
const deadAfterMs = 5_000;
const heldUpAfterMs = 2_000;
// Changes of one moment are said together.
const gatherMs = 2;
const maxRuns = 10_000;

export function createExecutorBeats(
  broker: Broker,
  deps: { clock: Clock },
  /** This start of this executor. */
  run: string,
): ExecutorBeats {
  const { clock } = deps;
  const heardAtMs = new Map<string, number>();
  const ended = new Set<string>();
  let subscription: Subscription | undefined;
  let jobsSequence = 0;
  let lastBeatMs = 0;
  let listeningSinceMs = Number.POSITIVE_INFINITY;
  let cancelBeat: (() => void) | undefined;
  let cancelSoon: (() => void) | undefined;
  let endReconnect: (() => void) | undefined;
  let endDisconnect: (() => void) | undefined;

  const say = (live: boolean) => {
    if (broker.connected()) broker.nc.publish(subjects.executorBeat(run), writeExecutorBeat({ live, jobsSequence }));
  };
  const listen = () => {
    listeningSinceMs = clock.monotonicMs();
  };
  const beat = () => {
    // Held up itself it has not heard the others either.
    if (clock.monotonicMs() - lastBeatMs > heldUpAfterMs) listen();
    lastBeatMs = clock.monotonicMs();
    cancelBeat = clock.after(everyMs, beat);
    say(true);
  };
  const forget = () => {
    const before = clock.monotonicMs() - deadAfterMs;
    for (const [one, atMs] of heardAtMs) if (atMs < before) heardAtMs.delete(one);
    ended.clear();
  };

  return {
    saw(sequence) {
      jobsSequence = sequence;
      cancelSoon ??= clock.after(gatherMs, () => {
        cancelSoon = undefined;
        say(true);
      });
    },
    mayLive(one) {
      if (one === run) return true;
      if (ended.has(one)) return false;
      const nowMs = clock.monotonicMs();
      // Only who listens can tell silence from not having listened.
      const sinceMs = Math.max(heardAtMs.get(one) ?? 0, listeningSinceMs);
      return nowMs - sinceMs < deadAfterMs;
    },
    async start() {
      if (subscription) return;
      subscription = broker.nc.subscribe(subjects.executorBeats, {
        callback: (error, message) => {
          if (error) return;
          const one = lastTokenOfSubject(message.subject);
          if (heardAtMs.size + ended.size > maxRuns) forget();
          if (readExecutorBeat(message.data).live) heardAtMs.set(one, clock.monotonicMs());
          else ended.add(one);
        },
      });
      endReconnect = broker.onReconnect(listen);
      endDisconnect = broker.onDisconnect(() => {
        listeningSinceMs = Number.POSITIVE_INFINITY;
      });
      lastBeatMs = clock.monotonicMs();
      listen();
      beat();
    },
    /** The last word: what this run leaves behind is for others from now on. */
    async stop() {
      cancelBeat?.();
      cancelSoon?.();
      endReconnect?.();
      endDisconnect?.();
      say(false);
      if (!broker.nc.isClosed()) subscription?.unsubscribe();
      subscription = undefined;
    },
  };
}
