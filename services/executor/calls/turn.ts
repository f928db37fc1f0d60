import { Fifo } from "./fifo.ts";
import type { Origin } from "./origin.ts";
import type { Queueable } from "./queueable.ts";

// Of four calls one, while both wait: a thousand targets that nobody knows, due on one second, do not come before the
// calls of those that answer, and one that is new waits for three calls only however busy the others are.
const answeringInARow = 3;

/** Who has something to send and room to send it: those that answer first, and now and then one of the others. Pure. */
export class Turn<T extends Queueable> {
  readonly #answering = new Fifo<Origin<T>>();
  readonly #others = new Fifo<Origin<T>>();
  #inARow = 0;

  push(origin: Origin<T>): void {
    origin.inTurn = true;
    (origin.standing === "answering" ? this.#answering : this.#others).push(origin);
  }

  shift(): Origin<T> | undefined {
    const line = this.#isOthersTurn() ? this.#others : this.#answering;
    const origin = line.shift();
    if (!origin) return undefined;
    origin.inTurn = false;
    this.#inARow = line === this.#answering ? this.#inARow + 1 : 0;
    return origin;
  }

  #isOthersTurn(): boolean {
    return this.#others.length > 0 && (this.#answering.length === 0 || this.#inARow >= answeringInARow);
  }
}
