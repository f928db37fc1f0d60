import { connect, type JetStreamClient, type JetStreamManager, type NatsConnection } from "nats";
import { type Clock, sleep } from "../process/clock.ts";
import type { Startable } from "../process/lifecycle.ts";
import type { Log } from "../process/log.ts";

/** A connection that never gives up: it waits for a broker that is not there yet, and comes back after each loss. */
export interface Broker extends Startable {
  readonly nc: NatsConnection;
  readonly js: JetStreamClient;
  /** For streams and consumers; created at start. */
  readonly jsm: JetStreamManager;
  /** Whether the connection stands at this moment. */
  connected(): boolean;
  /** Calls back after each reconnection; the returned function ends that. */
  onReconnect(callback: () => void): () => void;
  /** Calls back after each loss of the connection; the returned function ends that. */
  onDisconnect(callback: () => void): () => void;
  /** For whoever finds that a stream or consumer is gone: makes sure of all of them again. It does not throw. */
  ensure(): Promise<void>;
  /** Names who does that, once for all who ask at the same time. Before that nobody does. */
  ensuredBy(ensure: () => Promise<void>): void;
}

export interface BrokerOptions {
  /** One URL or several, separated by commas. */
  url: string;
  /** Shown in the broker's monitoring. */
  name: string;
}

// A local broker is back within a second: ask often, it costs one refused connection each.
const reconnectWaitMs = 100;
// A dead peer that keeps the connection open is noticed after two of these.
const pingIntervalMs = 2_000;
// For the greeting of a broker that may be dead as well: the client comes back to the one that it has lost first, and
// would wait for it for 20 s while the others of its cluster do the work.
const connectTimeoutMs = 2_000;
// How long a request to the JetStream API may take: stream creation with replicas is the slowest.
const apiTimeoutMs = 10_000;
const farewellMs = 1_000;

export function createBroker(options: BrokerOptions, deps: { clock: Clock; log: Log }): Broker {
  const { clock, log } = deps;
  const reconnects = new Set<() => void>();
  const disconnects = new Set<() => void>();
  let connection: NatsConnection | undefined;
  let manager: JetStreamManager | undefined;
  let client: JetStreamClient | undefined;
  let up = false;
  let stopped = false;
  let ensure = () => Promise.resolve();

  const follow = async (nc: NatsConnection) => {
    const endAbandoned = abandonedDials(nc);
    for await (const status of nc.status()) {
      endAbandoned();
      if (status.type === "disconnect") {
        up = false;
        if (!stopped) log.warn({ event: "broker_disconnected" });
        for (const callback of disconnects) callback();
      } else if (status.type === "reconnect") {
        up = true;
        log.info({ event: "broker_reconnected", server: status.data });
        for (const callback of reconnects) callback();
      }
    }
  };

  const started = <T>(value: T | undefined): T => {
    if (value === undefined) throw new Error("the broker connection is used before it was started");
    return value;
  };

  return {
    get nc() {
      return started(connection);
    },
    get js() {
      return started(client);
    },
    get jsm() {
      return started(manager);
    },
    connected: () => up,
    onReconnect(callback) {
      reconnects.add(callback);
      return () => reconnects.delete(callback);
    },
    onDisconnect(callback) {
      disconnects.add(callback);
      return () => disconnects.delete(callback);
    },
    async start() {
      if (connection) return;
      connection = await connect({
        servers: options.url.split(",").map((server) => server.trim()),
        name: options.name,
        maxReconnectAttempts: -1,
        reconnectTimeWait: reconnectWaitMs,
        waitOnFirstConnect: true,
        timeout: connectTimeoutMs,
        // The client would give up for ever when it is refused twice in a row.
        ignoreAuthErrorAbort: true,
        pingInterval: pingIntervalMs,
        maxPingOut: 2,
      });
      up = true;
      void follow(connection);
      // In a cluster the port is open before JetStream is up: the stream keeper waits for that.
      manager = await connection.jetstreamManager({ timeout: apiTimeoutMs, checkAPI: false });
      client = connection.jetstream({ timeout: apiTimeoutMs });
    },
    async stop() {
      if (!connection || stopped) return;
      stopped = true;
      up = false;
      // drain() flushes what was published and acknowledged, then closes. It
      // never ends while the broker is away: there is nothing to flush to then.
      if (connection.isClosed()) return;
      const said = new AbortController();
      const farewell = connection.drain().catch(() => undefined);
      await Promise.race([farewell, sleep(clock, farewellMs, said.signal)]);
      said.abort();
      await connection.close();
    },
    ensure: () => ensure(),
    ensuredBy(keeper) {
      ensure = keeper;
    },
  };
}

/** What the client dials with, and does not show. */
interface Dialling {
  protocol?: { transport?: { socket?: { destroy(): void } } };
}

/**
 * Ends the connections that the client has given up before they were greeted, each time that its status changes: it tells
 * of each dial. It leaves them open itself. Greeted late, such a one counts as its connection; when that ends the client
 * dials anew, and what two connections bring is read as if it were one.
 */
function abandonedDials(nc: NatsConnection): () => void {
  let dialled = (nc as Dialling).protocol?.transport;
  return () => {
    const current = (nc as Dialling).protocol?.transport;
    if (current === dialled) return;
    dialled?.socket?.destroy();
    dialled = current;
  };
}
