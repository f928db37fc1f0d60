import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { idOf, rowOf } from "../../../../test/support/registry-store-rows.ts";
import { allLanes, lanes, type RegistryStore, StoreFull } from "../contract.ts";
import { createSqliteRegistryStore } from "./sqlite-registry-store.ts";

let dataDir: string;
let store: RegistryStore;

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "carillon-registry-"));
  store = createSqliteRegistryStore({ dataDir, mostOutboxWeight: 3 });
  await store.start();
});
afterEach(async () => {
  await store.stop();
  await rm(dataDir, { recursive: true });
});

const create = (...numbers: number[]) =>
  store.createJobs(
    numbers.map((number) => ({ row: rowOf(idOf(number)) })),
    { lane: lanes.create, sinceMs: 0 },
  );

it("refuses what its outbox has no room for, and takes it once the broker has taken some", async () => {
  await create(1, 2);
  await expect(create(3, 4)).rejects.toThrow(StoreFull);
  await create(3);
  const run = { executionId: "e", payload: new Uint8Array(1) };
  const change = () =>
    store.changeJob(idOf(1), (row) => ({ next: { ...row, generation: row.generation + 1 }, answer: "changed" }));
  const refused = await Promise.allSettled([create(4), change(), store.addRun(idOf(1), () => run)]);
  expect(refused.map((answer) => answer.status === "rejected" && answer.reason.message)).toEqual(
    Array.from({ length: 3 }, () => "the outbox, which keeps what the broker has not taken yet, is full"),
  );
  expect(await store.counts()).toEqual({ active: 3, paused: 0, outbox: 3 });
  const [first] = await store.takeOutbox(allLanes, 1);
  await store.writeReceipts([{ jobId: first?.jobId ?? "", keys: first ? [first.key] : [] }]);
  expect(await change()).toBe("changed");
});
