/**
 * The most recently used values, bounded: what is pushed out is simply made again when it is asked
 * for, so the bound costs time and never correctness.
 */
export class RecentMap<K, V> {
  readonly #maxEntries: number;
  readonly #entries = new Map<K, V>();

  constructor(maxEntries: number) {
    this.#maxEntries = maxEntries;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: K): V | undefined {
    const known = this.#entries.get(key);
    if (known === undefined) return undefined;
    // A Map keeps insertion order: putting the entry back makes it the youngest.
    this.#entries.delete(key);
    this.#entries.set(key, known);
    return known;
  }

  set(key: K, value: V): void {
    this.#entries.set(key, value);
    if (this.#entries.size <= this.#maxEntries) return;
    const oldest = this.#entries.keys().next();
    if (!oldest.done) this.#entries.delete(oldest.value);
  }

  getOrMake(key: K, make: () => V): V {
    const known = this.get(key);
    if (known !== undefined) return known;
    const made = make();
    this.set(key, made);
    return made;
  }
}
