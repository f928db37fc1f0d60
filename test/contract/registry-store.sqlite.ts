import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createSqliteRegistryStore } from "../../services/registry/store/sqlite/sqlite-registry-store.ts";
import type { RegistryEngine } from "../support/registry-engine.ts";

export const engine: RegistryEngine = {
  name: "SQLite",
  module: import.meta.url,
  createPlace: () => mkdtemp(join(tmpdir(), "carillon-registry-")),
  removePlace: (place) => rm(place, { recursive: true }),
  create: (dataDir) => createSqliteRegistryStore({ dataDir }),
};
