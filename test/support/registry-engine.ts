import { fileURLToPath } from "node:url";
import { afterEach, beforeEach } from "vitest";
import type { RegistryStore } from "../../services/registry/store/contract.ts";

/** One way of keeping what the registry remembers, for the suite that all of them pass. */
export interface RegistryEngine {
  readonly name: string;
  /** The module that exports this very object as `engine`: another process loads it from there. */
  readonly module: string;
  /** Makes room for a store, and names it so that another process can open it. */
  createPlace(): Promise<string>;
  removePlace(place: string): Promise<void>;
  /** A store that is not started: what was written at the place before is in it. */
  create(place: string): RegistryStore;
}

/** The program that opens a store in a process of its own. */
export const registryStoreWriter = fileURLToPath(new URL("./registry-store-writer.ts", import.meta.url));

export interface StoreRig {
  readonly place: string;
  /** The one that is open. */
  readonly store: RegistryStore;
  /** Stops it, and opens the same place again. */
  reopen(): Promise<RegistryStore>;
}

/** An empty store of its own for each test that follows. */
export function useStore(engine: RegistryEngine): StoreRig {
  let place: string;
  let store: RegistryStore;
  const open = async () => {
    store = engine.create(place);
    await store.start();
    return store;
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
      return open();
    },
  };
}
