import type { TickerEffect } from "./model.ts";

/** What is to be done, collected until whoever drives the core takes it. */
export class Effects {
  private list: TickerEffect[] = [];
  private lastId = 0;

  /** Ties an effect to its answer. */
  newId(): number {
    return ++this.lastId;
  }

  emit(effect: TickerEffect): void {
    this.list.push(effect);
  }

  take(): TickerEffect[] {
    const { list } = this;
    this.list = [];
    return list;
  }
}
