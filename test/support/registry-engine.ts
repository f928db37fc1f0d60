import type { RegistryStore } from "../../services/registry/store/contract.ts";

/** What the suite has to know of a database. */
export interface RegistryStoreEngine {
  /** A place in which there is no store yet, and the end of it. */
  newPlace(): Promise<string>;
  removePlace(place: string): Promise<void>;
  /** The store at a place, to be started: what was written there before is in it. */
  storeAt(place: string): RegistryStore;
  /** A program that runs writeUntilKilled on the store at its first argument, its second names the round. */
  writerProgram: string;
}

/** A store that is started before each test, at a place of its own. */
export interface SuiteStore {
  store(): RegistryStore;
  reopen(): Promise<RegistryStore>;
}
