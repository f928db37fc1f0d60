import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { createSqliteHistoryStore } from "./sqlite-history-store.ts";

// What the contract promises is held to it in test/contract/history-store.suite.ts.

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "carillon-history-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

it("says which file somebody else has open", async () => {
  const first = createSqliteHistoryStore({ folder });
  await first.start();
  const second = createSqliteHistoryStore({ folder });
  await expect(second.start()).rejects.toThrow(`another store has ${join(folder, "history.db")} open`);
  await first.stop();
});
