import type { Attempt } from "./attempt.ts";
import { Connection, type Connector, createConnector } from "./connection.ts";

// Below this a shift() of the queue costs nothing worth saving.
const compactAt = 1_024;

/** How many calls to one origin may be in flight at once. */
export interface Width {
  /** What a fast target gets: more connections would cost more CPU a call. */
  base: number;
  /** What a slow one may grow to. */
  most: number;
}

/** One scheme, host and port: its connections, and the calls that wait for one. */
export class Origin {
  readonly key: string;
  readonly #limits: Width;
  #width: number;
  /** The most calls in flight since the last narrowing. */
  #peak = 0;
  readonly #connector: Connector = createConnector();
  // Last in, first out: the fewest connections stay warm, the others go idle and close.
  readonly #free: Connection[] = [];
  #queue: Attempt[] = [];
  #head = 0;
  /** Calls in flight. */
  active = 0;
  /** Of those, how many the caller has found to take long. */
  slow = 0;
  /** Whether it stands in line for a place. */
  inTurn = false;
  /** Monotonic. */
  lastUsedMs = 0;

  constructor(key: string, limits: Width) {
    this.key = key;
    this.#limits = limits;
    this.#width = limits.base;
  }

  hasRoom(): boolean {
    return this.active < this.#width;
  }

  /**
   * Gives a slow target twice the room when calls are late and half of those in
   * flight take long: what it gets a second would otherwise be its width divided
   * by the time it takes. Returns whether there is more room now.
   */
  widen(lateSecond: number): boolean {
    const first = this.#queue[this.#head];
    const due = this.slow * 2 >= this.#width && this.#width < this.#limits.most;
    if (!due || !first || first.second > lateSecond) return false;
    this.#width = Math.min(this.#width * 2, this.#limits.most);
    return true;
  }

  /** Takes back room that was not used since the last time. */
  narrow(): void {
    if (this.#peak * 2 <= this.#width) this.#width = Math.max(Math.ceil(this.#width / 2), this.#limits.base);
    this.#peak = this.active;
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

  /** A connection for one more call; new ones are made while there is room. */
  take(): Connection {
    this.active++;
    this.#peak = Math.max(this.#peak, this.active);
    return this.#free.pop() ?? new Connection(this.key, this.#connector);
  }

  give(connection: Connection): void {
    if (connection.usable) this.#free.push(connection);
  }

  close(): void {
    for (const connection of this.#free.splice(0)) connection.close();
  }
}
