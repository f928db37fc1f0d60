import type { LookupFunction } from "node:net";
import { Connection, type Connector, createConnector } from "./connection.ts";

/** The connections of each origin, warm ones first. How many there may be is the scheduler's business. */
export class ConnectionPool {
  readonly #lookup: LookupFunction;
  readonly #origins = new Map<string, { connector: Connector; free: Connection[] }>();

  /** `lookup` finds the addresses of an origin's name. */
  constructor(lookup: LookupFunction) {
    this.#lookup = lookup;
  }

  take(origin: string): Connection {
    let known = this.#origins.get(origin);
    if (!known) {
      known = { connector: createConnector(this.#lookup), free: [] };
      this.#origins.set(origin, known);
    }
    // Last in, first out: the fewest connections stay warm, the others go idle and close.
    return known.free.pop() ?? new Connection(origin, known.connector);
  }

  give(origin: string, connection: Connection): void {
    const known = this.#origins.get(origin);
    if (!connection.usable) return;
    if (known) known.free.push(connection);
    else connection.close();
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
