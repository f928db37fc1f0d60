import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { job, noon, otherJob, resultOf } from "../../../../test/support/history-results.ts";
import { openSqlite } from "../../../platform/sql/sqlite.ts";
import type { EndingPlace, HistoryStore } from "../contract.ts";
import { createEndingsWriter } from "./endings.ts";
import { migrations } from "./schema.ts";
import { createSqliteHistoryStore } from "./sqlite-history-store.ts";

const beforeAll: EndingPlace = { commit: 0, mark: 0, count: 0 };
let folder: string;
let store: HistoryStore;

const open = async (endingsBytes?: number) => {
  store = createSqliteHistoryStore({ folder, ...(endingsBytes !== undefined && { endingsBytes }) });
  await store.start();
};
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "carillon-endings-"));
});
afterEach(async () => {
  await store.stop();
  await rm(folder, { recursive: true });
});

/** The places behind so many commits of one execution each. */
const recordEach = async (from: number, to: number) => {
  const places: EndingPlace[] = [];
  for (let i = from; i < to; i++) {
    const { place } = await store.record([resultOf({ second: noon + i })]);
    if (place) places.push(place);
  }
  return places;
};
const secondsSince = async (place: EndingPlace) =>
  (await store.endedSince(job, place, 1_000))?.endings.map(({ record }) => record.second - noon);

test("the oldest commits are given up when it is too much, and places before them are not known any more", async () => {
  await open(10 * 35);
  const places = await recordEach(0, 10);
  expect(await secondsSince(beforeAll)).toHaveLength(10);
  places.push(...(await recordEach(10, 12)));
  expect(await secondsSince(beforeAll)).toBeUndefined();
  expect(await secondsSince(places[1] as EndingPlace)).toBeUndefined();
  expect(await secondsSince(places[2] as EndingPlace)).toEqual([3, 4, 5, 6, 7, 8, 9, 10, 11]);
  // How much there is is known after a restart as well.
  await store.stop();
  await open(10 * 35);
  await recordEach(12, 14);
  expect(await secondsSince(places[3] as EndingPlace)).toBeUndefined();
  expect(await secondsSince(places[4] as EndingPlace)).toHaveLength(9);
});

test("the newest commit stays, however large it is", async () => {
  await open(1);
  await store.record(Array.from({ length: 100 }, (_, i) => resultOf({ second: noon + i })));
  const place = await store.lastEnding();
  expect(await secondsSince(place)).toEqual([]);
  expect(await secondsSince({ ...place, count: 97 })).toEqual([97, 98, 99]);
});

test("a long way back is gone in several looks", async () => {
  await open();
  const others = 400_000;
  for (let at = 0; at < others; at += 50_000) {
    const batch = Array.from({ length: 50_000 }, (_, i) => resultOf({ jobId: otherJob, second: noon + at + i }));
    await store.record(batch);
  }
  await store.record([resultOf()]);
  const first = await store.endedSince(job, beforeAll, 5);
  expect(first).toMatchObject({ endings: [], done: false });
  const second = await store.endedSince(job, first?.place ?? beforeAll, 5);
  expect(second).toMatchObject({ endings: [{ record: { second: noon } }], done: true });
});

test("a commit that was rolled back leaves no trace in the order", async () => {
  await open();
  await recordEach(0, 1);
  await store.stop();
  const db = openSqlite(join(folder, "history.db"), migrations);
  const endings = createEndingsWriter(db, 1_000_000);
  const before = endings.last();
  db.exec("begin");
  expect(endings.append([{ jobKey: 1, second: noon, run: "" }])).not.toEqual(before);
  // As a disk does that is full at the very commit.
  db.exec("rollback");
  endings.forget();
  expect(endings.last()).toEqual(before);
  db.close();
  await open();
});
