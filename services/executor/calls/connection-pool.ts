import type { LookupFunction } from "node:net";
import { Connection, type Connector, createConnector } from "./connection.ts";

interface Known {
  connector: Connector;
  free: Connection[];
  /** The fewest that were free at once since the last trimming: so many were not needed. */
  fewestFree: number;
}

/** The connections of each origin, warm ones first. How many there may be is the scheduler's business. */
export class ConnectionPool {
  readonly #lookup: LookupFunction;
  readonly #origins = new Map<string, Known>();

  /** `lookup` finds the addresses of an origin's name. */
  constructor(lookup: LookupFunction) {
    this.#lookup = lookup;
  }

  take(origin: string): Connection {
    let known = this.#origins.get(origin);
    if (!known) {
      known = { connector: createConnector(this.#lookup), free: [], fewestFree: 0 };
      this.#origins.set(origin, known);
    }
    // Last in, first out: the fewest connections stay warm, the others go idle and close.
    const free = known.free.pop();
    known.fewestFree = Math.min(known.fewestFree, known.free.length);
    return free ?? new Connection(origin, known.connector);
  }

  give(origin: string, connection: Connection): void {
    const known = this.#origins.get(origin);
    if (!connection.usable) return;
    if (known) known.free.push(connection);
    else connection.close();
  }

  /**
   * Lets go of those that were not needed since the last time. One takes memory without a socket, too, and a target may
   * ask for its socket to be kept for minutes: a burst at each of thousands of origins would leave all of theirs.
   */
  trim(): void {
    for (const known of this.#origins.values()) {
      for (const connection of known.free.splice(0, known.fewestFree)) connection.close();
      known.fewestFree = known.free.length;
    }
  }

  /** Closes those of an origin that nobody calls any more. */
  forget(origin: string): void {
    for (const connection of this.#origins.get(origin)?.free ?? []) connection.close();
    this.#origins.delete(origin);
  }

  close(): void {
    for (const origin of [...this.#origins.keys()]) this.forget(origin);
  }
}
