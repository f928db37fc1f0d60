import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { jobA, jobB, jobC, jobOf } from "../../../../test/support/registry-store-rows.ts";
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
  const [a, b] = [jobOf(jobA, "a"), jobOf(jobB, "b")];
  insert.run(jobA, 1, a);
  insert.run(jobB, 2, b);
  db.close();
  const store = createSqliteRegistryStore({ dataDir });
  await store.start();
  const common = { generation: 5, timingGeneration: 4, effectiveFromMs: 1_000, timingSequence: 7, timingEdition: 1 };
  expect(await store.findStates([jobA, jobB])).toEqual([
    { ...common, jobId: jobA, state: 1, earlier: [], pausedGeneration: 0, ended: false, job: a },
    { ...common, jobId: jobB, state: 2, earlier: [], pausedGeneration: 4, ended: false, job: b },
  ]);
  await store.stop();
});

it("finds the jobs of a version before by their labels, and those that are deleted by nothing", async () => {
  mkdirSync(join(dataDir, "registry"));
  const db = openSqlite(join(dataDir, "registry", "registry.db"), migrations.slice(0, 2));
  const insert = db.prepare(
    `insert into jobs (job_id, generation, state, timing_generation, effective_from_ms, timing_sequence, timing_edition, job)
       values (?, 1, ?, 1, 1000, 7, 1, ?)`,
  );
  const labels = { env: "test", "example.com/team": "größe" };
  for (const [jobId, state] of [
    [jobA, 1],
    [jobB, 2],
    [jobC, 0],
  ] as const) {
    insert.run(jobId, state, jobOf(jobId, "n", { labels }));
  }
  db.close();
  const store = createSqliteRegistryStore({ dataDir });
  await store.start();
  for (const label of Object.entries(labels)) {
    const found = await store.listLabelled({ labels: [label], afterId: "", limit: 9 });
    expect(found).toEqual({ jobIds: [jobA, jobB], goesOn: false, lastId: jobB });
  }
  expect(await store.findKeys(["", "a"])).toEqual([undefined, undefined]);
  await store.stop();
});
