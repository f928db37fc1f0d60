import type { Attempt } from "./attempt.ts";
import { Connection, type Connector, createConnector } from "./connection.ts";

// Below this a shift() of the queue costs nothing worth saving.
const compactAt = 1_024;

/** One scheme, host and port: its connections, and the calls that wait for one. */
export class Origin {
  readonly key: string;
  readonly #maxConnections: number;
  readonly #connector: Connector = createConnector();
  // Last in, first out: the fewest connections stay warm, the others go idle and close.
  readonly #free: Connection[] = [];
  #queue: Attempt[] = [];
  #head = 0;
  /** Calls in flight. */
  active = 0;
  /** Whether it stands in line for a place. */
  inTurn = false;
  /** Monotonic. */
  lastUsedMs = 0;

  constructor(key: string, maxConnections: number) {
    this.key = key;
    this.#maxConnections = maxConnections;
  }

  hasRoom(): boolean {
    return this.active < this.#maxConnections;
  }

  queued(): number {
    return this.#queue.length - this.#head;
  }

  idle(): boolean {
    return this.active === 0 && this.queued() === 0;
  }

  push(attempt: Attempt): void {
    this.#queue.push(attempt);
  }

  next(): Attempt | undefined {
    const attempt = this.#queue[this.#head];
    if (!attempt) return undefined;
    this.#head++;
    if (this.#head === this.#queue.length) {
      this.#queue = [];
      this.#head = 0;
    } else if (this.#head >= compactAt && this.#head * 2 >= this.#queue.length) {
      this.#queue = this.#queue.slice(this.#head);
      this.#head = 0;
    }
    return attempt;
  }

  /** A connection without a call; new ones are made while there is room. */
  take(): Connection {
    return this.#free.pop() ?? new Connection(this.key, this.#connector);
  }

  give(connection: Connection): void {
    if (connection.usable) this.#free.push(connection);
  }

  close(): void {
    for (const connection of this.#free.splice(0)) connection.close();
  }
}
