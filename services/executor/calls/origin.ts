import type { LookupFunction } from "node:net";
import type { Attempt } from "./attempt.ts";
import { Connection, type Connector, createConnector } from "./connection.ts";

// Below this a shift() of the queue costs nothing worth saving.
const compactAt = 1_024;

/** How many calls to one origin may be in flight at once. */
export interface Width {
  /** What each may have however many calls are in flight over all, and what a hanging one is cut down to. */
  least: number;
  /** What a fast target gets: more connections would cost more CPU a call. */
  base: number;
  /** What a slow one may grow to. */
  most: number;
}

// A target that answered none of its calls for so long hangs: more calls would only hang as well.
const hangingAfterMs = 5_000;

/** One scheme, host and port: its connections, and the calls that wait for one. */
export class Origin {
  readonly key: string;
  readonly #limits: Width;
  #width: number;
  /** The most calls in flight since the last narrowing. */
  #peak = 0;
  readonly #connector: Connector;
  // Last in, first out: the fewest connections stay warm, the others go idle and close.
  readonly #free: Connection[] = [];
  #queue: Attempt[] = [];
  #head = 0;
  /** Since when there are calls in flight and none of them was answered; monotonic. */
  #silentSinceMs = 0;
  #hanging = false;
  /** Whether it answered since it last hung. */
  #answers = false;
  /** Calls in flight. */
  active = 0;
  /** Of those, how many the caller has found to take long. */
  slow = 0;
  /** Whether it stands in line for a place. */
  inTurn = false;
  /** Monotonic. */
  lastUsedMs = 0;

  /** `lookup` finds the addresses of its name. */
  constructor(key: string, limits: Width, lookup: LookupFunction) {
    this.key = key;
    this.#connector = createConnector(lookup);
    this.#limits = limits;
    this.#width = limits.base;
  }

  hasRoom(): boolean {
    return this.active < (this.#hanging ? this.#limits.least : this.#width);
  }

  /** Told of each call that ended with anything but a timeout. */
  answered(nowMs: number): void {
    this.#silentSinceMs = nowMs;
    this.#hanging = false;
    this.#answers = true;
  }

  /** Asked again and again: finds out whether it hangs. */
  look(nowMs: number): void {
    if (this.active === 0 || nowMs - this.#silentSinceMs < hangingAfterMs) return;
    this.#hanging = true;
    this.#answers = false;
  }

  /**
   * Gives a slow target that answers twice the room when calls are late and half
   * of those in flight take long: what it gets a second would otherwise be its
   * width divided by the time it takes. Returns whether there is more room now.
   */
  widen(lateSecond: number): boolean {
    const first = this.#queue[this.#head];
    const due = this.#answers && this.#isSlow() && this.#width < this.#limits.most;
    if (!due || !first || first.second > lateSecond) return false;
    this.#width = Math.min(this.#width * 2, this.#limits.most);
    return true;
  }

  /** Halves the room when half of it was not used since the last time, or when `useless` says that more does not help. */
  narrow(useless: boolean): void {
    if (useless || this.#peak * 2 <= this.#width) this.#width = Math.max(Math.ceil(this.#width / 2), this.#limits.base);
    this.#peak = this.active;
  }

  /**
   * Takes out calls that have waited since before an instant for a slow target.
   * With `onlyHanging` only when the target hangs: one that answers is not to
   * blame while this process is slow itself.
   */
  takeOverdue(queuedBeforeMs: number, limit: number, onlyHanging: boolean): Attempt[] {
    const taken: Attempt[] = [];
    if (this.hasRoom() || !this.#isSlow() || (onlyHanging && !this.#hanging)) return taken;
    while (taken.length < limit) {
      const first = this.#queue[this.#head];
      if (!first || first.queuedAtMs >= queuedBeforeMs) break;
      taken.push(first);
      this.next();
    }
    return taken;
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
  take(nowMs: number): Connection {
    if (this.active === 0) this.#silentSinceMs = nowMs;
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

  #isSlow(): boolean {
    return this.slow * 2 >= Math.min(this.active, this.#width);
  }
}
