import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe } from "vitest";
import { createSqliteRegistryStore } from "../../services/registry/store/sqlite/sqlite-registry-store.ts";
import { registryStoreSuite } from "./registry-store.suite.ts";

describe("the registry's store in SQLite", () => {
  registryStoreSuite({
    newPlace: () => mkdtemp(join(tmpdir(), "carillon-store-")),
    removePlace: (place) => rm(place, { recursive: true, force: true }),
    storeAt: (place) => createSqliteRegistryStore({ dataDir: place }),
    writerProgram: new URL("../support/registry-store-writer.ts", import.meta.url).pathname,
  });
});
