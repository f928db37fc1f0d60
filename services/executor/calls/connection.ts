import { type LookupFunction, Socket } from "node:net";
import { buildConnector, Client, type Dispatcher } from "undici";
import { isRefusedAddress, RefusedAddressError } from "../../platform/net/address-guard.ts";
import type { Call } from "./call.ts";

// A connection that nothing asked to be shorter; the timeouts of jobs count besides.
const connectTimeoutMs = 10_000;
// Shorter than what servers use (5 s and up), so that we close first. A server's own hint is followed.
const keepAliveTimeoutMs = 4_000;
// A header section that is larger fails the attempt.
const maxAnswerHeaderBytes = 64 * 1024;

export type Connector = buildConnector.connector;

/** The call that is on a connection: what is sent, and who hears the answer. */
export interface Passenger extends Dispatcher.DispatchHandler {
  readonly call: Call;
  /** Name, value, name, value … */
  headers(): string[];
  /** The status that was answered; 0 before. */
  answeredStatus(): number;
  onResponseStarted(): void;
}

/** One for each origin: it remembers TLS sessions. Addresses are checked as the connection is made. */
export function createConnector(lookup: LookupFunction): Connector {
  const connect = buildConnector({ lookup, timeout: connectTimeoutMs });
  return (options, callback) => {
    if (isRefusedAddress(options.hostname)) {
      callback(new RefusedAddressError(options.hostname), null);
      return;
    }
    return connect(options, callback);
  };
}

/**
 * One kept-alive connection with at most one call on it. It does without undici's
 * Pool, which would queue calls: the caller knows which connection is free, and
 * what it dispatches is sent at once.
 */
export class Connection {
  readonly #client: Client;
  #passenger: Passenger | undefined;
  #connecting: Socket | undefined;
  /** An abandoned connection takes no further calls. */
  usable = true;
  /** Whether its present socket has brought an answer: the server may close it just as the next call comes. */
  reused = false;

  constructor(origin: string, connect: Connector) {
    this.#client = new Client(origin, {
      pipelining: 1,
      keepAliveTimeout: keepAliveTimeoutMs,
      maxHeaderSize: maxAnswerHeaderBytes,
      // The deadline of the attempt stands for both.
      headersTimeout: 0,
      bodyTimeout: 0,
      connect: (options, callback) => {
        this.reused = false;
        // The connector returns its socket, though its type does not say so.
        const socket: unknown = connect(options, (...result) => {
          this.#connecting = undefined;
          if (result[1]) passOverContinue(result[1], () => this.#passenger);
          callback(...result);
        });
        if (socket instanceof Socket && socket.connecting) this.#connecting = socket;
      },
    });
  }

  /**
   * Sends at once, or as soon as the connection stands; where the socket was
   * lost, over a new one. undici has read the passenger's headers when this returns.
   */
  dispatch(passenger: Passenger): void {
    const { call } = passenger;
    this.#passenger = passenger;
    this.#client.dispatch(
      { method: call.method as "POST", path: call.path, headers: passenger.headers(), body: call.body },
      passenger,
    );
  }

  /**
   * Closes it for good; a call that waits for it hears of the error. After a
   * call was cut off undici would otherwise open another one that nobody needs.
   */
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

/**
 * A client has to pass over a 100 that it did not ask for (RFC 9110, section
 * 15.2), but undici gives the connection up: so it never gets to see one. One
 * that comes in pieces still ends the call; servers write it at once.
 */
function passOverContinue(socket: Socket, current: () => Passenger | undefined): void {
  const read = socket.read.bind(socket);
  socket.read = (size?: number): unknown => {
    for (;;) {
      const chunk: unknown = read(size);
      const passenger = current();
      if (!(chunk instanceof Buffer) || passenger?.answeredStatus() !== 0) return chunk;
      const rest = afterContinue(chunk);
      if (rest === chunk) return chunk;
      passenger.onResponseStarted();
      if (rest.length > 0) return rest;
    }
  };
}

const statusAt = "HTTP/1.1 ".length;
const [digit1, digit0] = Buffer.from("10");

function afterContinue(chunk: Buffer): Buffer {
  // Looked at in each answer, so that the digits are compared before any text is made.
  if (chunk[statusAt] !== digit1 || chunk[statusAt + 1] !== digit0 || chunk[statusAt + 2] !== digit0) return chunk;
  if (!/^HTTP\/1\.[01] 100[ \r]/.test(chunk.toString("latin1", 0, statusAt + 4))) return chunk;
  const end = chunk.indexOf("\r\n\r\n");
  return end === -1 ? chunk : afterContinue(chunk.subarray(end + 4));
}
