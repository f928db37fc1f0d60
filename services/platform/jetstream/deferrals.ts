// So many follow each one that is taken: those that wait are through soon, and few come for nothing.
const releasedByOne = 2;

/**
 * What streams could not take when it was sent, the oldest first. Whether a stream
 * takes something again, one message finds out; the others follow once it has.
 */
export class Deferrals<T> {
  readonly #byStream = new Map<string, T[]>();
  readonly #members = new Set<T>();

  has(message: T): boolean {
    return this.#members.has(message);
  }

  add(message: T, stream: string): void {
    if (this.#members.has(message)) return;
    this.#members.add(message);
    const list = this.#byStream.get(stream);
    if (list) list.push(message);
    else this.#byStream.set(stream, [message]);
  }

  /** Those that are to follow something that their stream has taken. */
  taken(stream: string): T[] {
    return this.#byStream.size === 0 ? [] : this.#release(stream, releasedByOne);
  }

  /** One of each stream, to ask with. */
  probes(): T[] {
    return [...this.#byStream.keys()].flatMap((stream) => this.#release(stream, 1));
  }

  clear(): void {
    this.#byStream.clear();
    this.#members.clear();
  }

  #release(stream: string, count: number): T[] {
    const list = this.#byStream.get(stream) ?? [];
    const released = list.splice(0, count);
    if (list.length === 0) this.#byStream.delete(stream);
    for (const message of released) this.#members.delete(message);
    return released;
  }
}
