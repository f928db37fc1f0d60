/**
 * Items by second, earliest second first. A bucket a second and a heap of the
 * distinct seconds, so that a busy second costs its items and nothing else.
 */
export class SecondQueue<T> {
  readonly #buckets = new Map<number, Set<T>>();
  /** A binary min-heap of exactly the keys of `buckets`; a bucket may be empty. */
  #heap: number[] = [];
  #items = 0;

  get size(): number {
    return this.#items;
  }

  add(second: number, item: T): void {
    let bucket = this.#buckets.get(second);
    if (!bucket) {
      bucket = new Set();
      this.#buckets.set(second, bucket);
      this.#push(second);
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
      const second = this.#heap[0];
      if (second === undefined) return undefined;
      if (this.#buckets.get(second)?.size) return second;
      this.#buckets.delete(second);
      this.#pop();
    }
  }

  /** Takes out all items of the earliest second. */
  take(): { second: number; items: Set<T> } | undefined {
    const second = this.first();
    if (second === undefined) return undefined;
    const items = this.#buckets.get(second) ?? new Set<T>();
    this.#buckets.delete(second);
    this.#pop();
    this.#items -= items.size;
    return { second, items };
  }

  /** Items that were taken away leave empty buckets behind, far in the future for ever: swept when they are most. */
  #sweep(): void {
    if (this.#heap.length < 64 || this.#heap.length < 2 * this.#items) return;
    for (const [second, bucket] of this.#buckets) if (bucket.size === 0) this.#buckets.delete(second);
    // An ascending array is a heap.
    this.#heap = [...this.#buckets.keys()].sort((a, b) => a - b);
  }

  #push(second: number): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(second);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent] ?? 0;
      if (above <= second) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = second;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if ((heap[child + 1] ?? Number.POSITIVE_INFINITY) < (heap[child] ?? 0)) child++;
      const below = heap[child] ?? 0;
      if (below >= last) break;
      heap[at] = below;
      at = child;
    }
    heap[at] = last;
  }
}
