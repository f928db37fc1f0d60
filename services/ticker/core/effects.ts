import type { TickerEffect } from "./model.ts";

/** What is to be done, collected until whoever drives the core takes it. */
export class Effects {
  #list: TickerEffect[] = [];
  #lastId = 0;

  /** Ties an effect to its answer. */
  newId(): number {
    return ++this.#lastId;
  }

  emit(effect: TickerEffect): void {
    this.#list.push(effect);
  }

  take(): TickerEffect[] {
    const list = this.#list;
    this.#list = [];
    return list;
  }
}
