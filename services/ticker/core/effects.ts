import type { EffectSink, TickerEffect } from "./model.ts";

/** Collects what is to be done until whoever drives the core takes it. */
export class Effects implements EffectSink {
  #list: TickerEffect[] = [];
  #lastId = 0;

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
