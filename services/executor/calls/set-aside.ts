import { isSecondStart } from "../second-start.ts";
import { Fifo } from "./fifo.ts";

// What is due on a second goes out first.
const waitMs = 300;
// A move costs some 4 µs: so many at once hold up the calls of others for no longer than an answer or two.
const movedAtOnce = 1_000;

/** What cannot be called now and is left to lanes: moved when the others are out, a part at a time. Pure. */
export class SetAside<T> {
  readonly #items = new Fifo<{ item: T; untilMs: number }>();

  get length(): number {
    return this.#items.length;
  }

  /** `nowMs` is monotonic. */
  add(item: T, nowMs: number): void {
    this.#items.push({ item, untilMs: nowMs + waitMs });
  }

  /** What is to be moved now; called some hundred times a second. */
  takeDue(nowMs: number, wallMs: number): T[] {
    const taken: T[] = [];
    if (isSecondStart(wallMs)) return taken;
    while (taken.length < movedAtOnce) {
      const first = this.#items.peek();
      if (!first || first.untilMs > nowMs) break;
      this.#items.shift();
      taken.push(first.item);
    }
    return taken;
  }

  takeAll(): T[] {
    return this.#items.takeIf(() => true).map(({ item }) => item);
  }
}
