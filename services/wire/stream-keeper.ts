import type { Broker } from "../platform/jetstream/broker.ts";
import { createPatience } from "../platform/jetstream/patience.ts";
import { type Clock, sleep } from "../platform/process/clock.ts";
import type { Startable } from "../platform/process/lifecycle.ts";
import type { Log } from "../platform/process/log.ts";
import { ensureStreams, type StreamOptions } from "./streams.ts";

/**
 * Sees to it that every stream and durable consumer stands: at the start, after
 * each reconnection, and whenever somebody finds one gone. Every service has one,
 * and they may work at the same time.
 */
export interface StreamKeeper extends Startable {
  /** Resolves when all of them stand, or when the keeper is stopped. Stop does not wait for it. */
  start(): Promise<void>;
  /** The same, for whoever finds one gone: what `broker.ensure()` comes to. It does not throw. */
  ensure(): Promise<void>;
}

const retryDelayMs = 500;
// A pass makes many requests, and the first one has nine streams made.
const firstPassMs = 4_000;

export function createStreamKeeper(
  broker: Broker,
  deps: { clock: Clock; log: Log },
  options: StreamOptions,
): StreamKeeper {
  const { clock, log } = deps;
  const stopping = new AbortController();
  const patience = createPatience(clock, firstPassMs);
  let ensuring: Promise<void> | undefined;
  let endReconnect: (() => void) | undefined;
  /** What the broker had room for the last time. */
  let bytes: number | undefined;
  let interrupt: (() => void) | undefined;

  const pass = () => {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    interrupt = () => reject(interrupted);
    ensureStreams(broker, options, bytes).then((found) => {
      // The broker has less room than was asked for.
      if (found.bytes < found.askedBytes) log.warn({ event: "streams_limited", ...found });
      bytes = found.bytes;
      resolve();
    }, reject);
    return promise;
  };
  const untilTheyStand = async () => {
    let said: string | undefined;
    while (!stopping.signal.aborted) {
      try {
        await patience.within(pass());
        if (said !== undefined) log.info({ event: "streams_ready" });
        return;
      } catch (error) {
        if (error === interrupted) continue;
        const reason = reasonOf(error);
        // Tried twice a second: what does not change is said once.
        if (reason !== said) log.warn({ event: "streams_not_ready", reason });
        said = reason;
        await sleep(clock, retryDelayMs, stopping.signal);
      }
    }
  };
  const ensure = () => {
    // Once for all who find something gone at the same time.
    ensuring ??= untilTheyStand().finally(() => {
      ensuring = undefined;
    });
    return ensuring;
  };
  broker.ensuredBy(ensure);

  return {
    ensure,
    start() {
      endReconnect ??= broker.onReconnect(() => {
        // What was asked on the old connection may never be answered, and times out late.
        interrupt?.();
        void ensure();
      });
      return ensure();
    },
    async stop() {
      stopping.abort();
      interrupt?.();
      endReconnect?.();
    },
  };
}

/** A pass that is not waited for any more. */
const interrupted = new Error("interrupted");

function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text === "503" ? "JetStream does not answer: it is not enabled, or not up yet" : text;
}
