import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createSqliteHistoryStore } from "../../services/history/store/sqlite/sqlite-history-store.ts";
import type { HistoryEngine } from "../support/history-engine.ts";

export const engine: HistoryEngine = {
  name: "SQLite",
  module: import.meta.url,
  createPlace: () => mkdtemp(join(tmpdir(), "carillon-history-")),
  removePlace: (place) => rm(place, { recursive: true }),
  create: (folder, size) => createSqliteHistoryStore({ folder, ...(size === "small" && { segmentRows: 10 }) }),
};
