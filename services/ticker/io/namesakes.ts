import type { Msg, Subscription } from "nats";
import type { Broker } from "../../platform/jetstream/broker.ts";
import { type Clock, sleep } from "../../platform/process/clock.ts";
import type { Startable } from "../../platform/process/lifecycle.ts";
import type { Log } from "../../platform/process/log.ts";
import { subjects } from "../../wire/subjects.ts";
import { readTickerPresence, type TickerPresence, writeTickerPresence } from "../../wire/ticker-presence.ts";

export interface NamesakesOptions {
  ticker: string;
  /** Differs from start to start. */
  run: string;
  host: string;
  /** Told once, when this ticker has to go since another has its id. */
  onTaken: (error: Error) => void;
}

// A ticker that is alive answers within milliseconds; one that hangs does not keep its successor away.
const answerWithinMs = 1_500;
const repeatEveryMs = 5_000;
// One that was told to stop has the id until it has given back what it owns.
const predecessorEndsWithinMs = 3_000;
const askAgainMs = 250;

/**
 * Keeps two live tickers from going by one id: each would take the other's partitions for its own of an earlier life.
 *
 * Before anything else it asks whether somebody has the id. Nobody listens there once a ticker has died, and the broker says
 * so at once: a restart loses no time. Whoever is still answered after a while does not start. Two that were out of each
 * other's sight then (they started at the same instant, or one was cut off) hear of each other afterwards, and the younger goes.
 */
export function createNamesakes(
  broker: Broker,
  { clock, log }: { clock: Clock; log: Log },
  options: NamesakesOptions,
): Startable {
  const { ticker, run, host, onTaken } = options;
  const subject = subjects.tickerPresence(ticker);
  let subscription: Subscription | undefined;
  let cancelRepeat: (() => void) | undefined;
  let endReconnect: (() => void) | undefined;
  let own: TickerPresence | undefined;
  let taken = false;
  const stopping = new AbortController();

  /** Who has the id; undefined when nobody says so. */
  const ask = async (presence: TickerPresence): Promise<TickerPresence | undefined> => {
    try {
      const answer = await broker.nc.request(subject, writeTickerPresence(presence), { timeout: answerWithinMs });
      return readTickerPresence(answer.string());
    } catch (error) {
      log.debug({ event: "ticker_id_free", err: error });
      return undefined;
    }
  };
  const say = () => {
    if (own && broker.connected()) broker.nc.publish(subject, writeTickerPresence(own));
  };
  const repeat = () => {
    say();
    cancelRepeat = clock.after(repeatEveryMs, repeat);
  };
  const takenBy = (other: TickerPresence) =>
    new Error(
      `another ticker that is alive, on ${other.host}, has the id "${ticker}": give each ticker a CARILLON_TICKER_ID of ` +
        "its own, or none where each has a host name of its own",
    );
  const hear = (message: Msg) => {
    const other = readTickerPresence(message.string());
    if (!other || !own || other.run === run || taken) return;
    // It asks before it starts: who is there already stays.
    if (message.reply) {
      message.respond(writeTickerPresence(own));
      return;
    }
    if (isElder(own, other)) {
      say();
      return;
    }
    taken = true;
    onTaken(takenBy(other));
  };

  return {
    async start() {
      if (own) return;
      own = { run, sinceMs: clock.nowMs(), host };
      const startedMs = clock.monotonicMs();
      for (;;) {
        const other = await ask(own);
        if (!other || stopping.signal.aborted) break;
        if (clock.monotonicMs() - startedMs >= predecessorEndsWithinMs) throw takenBy(other);
        await sleep(clock, askAgainMs, stopping.signal);
      }
      if (stopping.signal.aborted) return;
      subscription = broker.nc.subscribe(subject, { callback: (error, message) => error ?? hear(message) });
      endReconnect = broker.onReconnect(say);
      repeat();
    },
    async stop() {
      stopping.abort();
      cancelRepeat?.();
      endReconnect?.();
      if (subscription && !broker.nc.isClosed()) subscription.unsubscribe();
      subscription = undefined;
    },
  };
}

/** The same on both sides, whatever their clocks say. */
function isElder(a: TickerPresence, b: TickerPresence): boolean {
  return a.sinceMs === b.sinceMs ? a.run < b.run : a.sinceMs < b.sinceMs;
}
