import { Socket } from "node:net";
import { buildConnector, Client } from "undici";
import { guardedLookup, isRefusedAddress, RefusedAddressError } from "../platform/address-guard.ts";
import type { Attempt } from "./attempt.ts";

// A connection that nothing asked to be shorter; the timeouts of jobs count besides.
const connectTimeoutMs = 10_000;
// Shorter than what servers use (5 s and up), so that we close first. A server's own hint is followed.
const keepAliveTimeoutMs = 4_000;
// A header section that is larger fails the attempt.
const maxAnswerHeaderBytes = 64 * 1024;

export type Connector = buildConnector.connector;

/** One for each origin: it remembers TLS sessions. Addresses are checked as the connection is made. */
export function createConnector(): Connector {
  const connect = buildConnector({ lookup: guardedLookup, timeout: connectTimeoutMs });
  return (options, callback) => {
    if (isRefusedAddress(options.hostname)) {
      callback(new RefusedAddressError(options.hostname), null);
      return;
    }
    return connect(options, callback);
  };
}

/**
 * One kept-alive connection with at most one call on it. undici's Pool is not
 * between: whoever schedules the calls knows which connection is free, and a
 * call that is dispatched is thereby on its way.
 */
export class Connection {
  readonly #client: Client;
  #connecting: Socket | undefined;
  /** An abandoned connection takes no further calls. */
  usable = true;

  constructor(origin: string, connect: Connector) {
    this.#client = new Client(origin, {
      pipelining: 1,
      keepAliveTimeout: keepAliveTimeoutMs,
      maxHeaderSize: maxAnswerHeaderBytes,
      // The deadline of the attempt stands for both.
      headersTimeout: 0,
      bodyTimeout: 0,
      connect: (options, callback) => {
        // The connector returns its socket, though its type does not say so.
        const socket: unknown = connect(options, (...result) => {
          this.#connecting = undefined;
          callback(...result);
        });
        if (socket instanceof Socket && socket.connecting) this.#connecting = socket;
      },
    });
  }

  /** Sends at once, or as soon as the connection stands. undici has read the attempt's headers when this returns. */
  dispatch(attempt: Attempt): void {
    const { call } = attempt;
    this.#client.dispatch(
      { method: call.method as "POST", path: call.path, headers: attempt.headers(), body: call.body },
      attempt,
    );
  }

  /** Ends a call that has no connection yet: its handler hears of the error. */
  abandon(error: Error): void {
    this.usable = false;
    this.#connecting?.destroy();
    this.#connecting = undefined;
    this.#client.destroy(error, () => undefined);
  }

  /** Ends it when no call is on it. */
  close(): void {
    this.usable = false;
    this.#client.close(() => undefined);
  }
}
