import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { jobA, jobB } from "../../../../test/support/registry-store-rows.ts";
import { openSqlite } from "../../../platform/sql/sqlite.ts";
import { migrations } from "./migrations.ts";
import { createSqliteRegistryStore } from "./sqlite-registry-store.ts";

let dataDir: string;
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), "carillon-registry-"));
});
afterEach(() => rmSync(dataDir, { recursive: true }));

it("takes over the jobs of a first version: nothing earlier is owed, and what is paused was paused by its timing", async () => {
  mkdirSync(join(dataDir, "registry"));
  const db = openSqlite(join(dataDir, "registry", "registry.db"), migrations.slice(0, 1));
  const insert = db.prepare("insert into jobs values (?, 5, ?, 4, 1000, 7, 1, ?)");
  insert.run(jobA, 1, Buffer.from("a"));
  insert.run(jobB, 2, Buffer.from("b"));
  db.close();
  const store = createSqliteRegistryStore({ dataDir });
  await store.start();
  const common = { generation: 5, timingGeneration: 4, effectiveFromMs: 1_000, timingSequence: 7, timingEdition: 1 };
  expect(await store.findStates([jobA, jobB])).toEqual([
    { ...common, jobId: jobA, state: 1, earlier: [], pausedGeneration: 0, ended: false, job: Buffer.from("a") },
    { ...common, jobId: jobB, state: 2, earlier: [], pausedGeneration: 4, ended: false, job: Buffer.from("b") },
  ]);
  await store.stop();
});
