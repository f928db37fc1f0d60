import { afterEach, beforeEach } from "vitest";
import type { HistoryStore } from "../../services/history/store/contract.ts";

/** A small store does its upkeep (what an engine seals, splits or packs) every few rows, not every million. */
export type StoreSize = "usual" | "small";
export const storeSizes: readonly StoreSize[] = ["usual", "small"];

/** One way of keeping history's records, for the suite that all of them pass. */
export interface HistoryEngine {
  readonly name: string;
  /** The module that exports this very object as `engine`: another process loads it from there. */
  readonly module: string;
  /** Makes room for a store, and names it so that another process can open it. */
  createPlace(): Promise<string>;
  removePlace(place: string): Promise<void>;
  /** A store that is not started. */
  create(place: string, size: StoreSize): HistoryStore;
}

export interface StoreRig {
  readonly place: string;
  /** The one that is open. */
  readonly store: HistoryStore;
  /** Stops it, and opens the same place again. */
  reopen(): Promise<void>;
}

/** An empty store of its own for each test that follows. */
export function useStore(engine: HistoryEngine, size: StoreSize): StoreRig {
  let place: string;
  let store: HistoryStore;
  const open = async () => {
    store = engine.create(place, size);
    await store.start();
  };
  beforeEach(async () => {
    place = await engine.createPlace();
    await open();
  });
  afterEach(async () => {
    await store.stop();
    await engine.removePlace(place);
  });
  return {
    get place() {
      return place;
    },
    get store() {
      return store;
    },
    async reopen() {
      await store.stop();
      await open();
    },
  };
}
