import FlatQueue from "flatqueue";

/**
 * Items by second, earliest second first: a bucket for each second, and a heap of
 * the distinct seconds. A busy second costs its items and nothing else.
 */
export class QueueBySecond<T> {
  readonly #buckets = new Map<number, Set<T>>();
  /** Exactly the keys of `#buckets`, of which some may be empty. */
  readonly #seconds = new FlatQueue<number>();
  #items = 0;

  get size(): number {
    return this.#items;
  }

  add(second: number, item: T): void {
    let bucket = this.#buckets.get(second);
    if (!bucket) {
      bucket = new Set();
      this.#buckets.set(second, bucket);
      this.#seconds.push(second, second);
    }
    bucket.add(item);
    this.#items++;
  }

  remove(second: number, item: T): void {
    if (!this.#buckets.get(second)?.delete(item)) return;
    this.#items--;
    this.#sweep();
  }

  /** The earliest second that has an item. */
  first(): number | undefined {
    for (;;) {
      const second = this.#seconds.peek();
      if (second === undefined) return undefined;
      if (this.#buckets.get(second)?.size) return second;
      this.#buckets.delete(second);
      this.#seconds.pop();
    }
  }

  /** Takes out all items of the earliest second. */
  take(): { second: number; items: Set<T> } | undefined {
    const second = this.first();
    if (second === undefined) return undefined;
    const items = this.#buckets.get(second) ?? new Set<T>();
    this.#buckets.delete(second);
    this.#seconds.pop();
    this.#items -= items.size;
    return { second, items };
  }

  /** Removed items leave empty buckets behind, which lie in the future for ever. Drops them once they are most. */
  #sweep(): void {
    if (this.#seconds.length < 64 || this.#seconds.length < 2 * this.#items) return;
    this.#seconds.clear();
    for (const [second, bucket] of this.#buckets) {
      if (bucket.size === 0) this.#buckets.delete(second);
      else this.#seconds.push(second, second);
    }
    this.#seconds.shrink();
  }
}
