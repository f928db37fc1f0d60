import { describe } from "vitest";
import type { RegistryEngine } from "../support/registry-engine.ts";
import { changesSuite } from "./registry-store.changes.ts";
import { crashSuite } from "./registry-store.crash.ts";
import { createsSuite } from "./registry-store.creates.ts";
import { lifecycleSuite } from "./registry-store.lifecycle.ts";
import { namesSuite } from "./registry-store.names.ts";
import { readingSuite } from "./registry-store.reading.ts";
import { receiptsSuite } from "./registry-store.receipts.ts";

/** What each engine behind services/registry/store/contract.ts must keep. A new one passes all of it. */
export function registryStoreSuite(engine: RegistryEngine): void {
  describe(`a registry store in ${engine.name}`, () => {
    createsSuite(engine);
    changesSuite(engine);
    readingSuite(engine);
    namesSuite(engine);
    receiptsSuite(engine);
    lifecycleSuite(engine);
    crashSuite(engine);
  });
}
