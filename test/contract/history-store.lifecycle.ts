import { once } from "node:events";
import { expect, it } from "vitest";
import type { HistoryStore } from "../../services/history/store/contract.ts";
import { type HistoryEngine, type StoreSize, useStore } from "../support/history-engine.ts";
import { job, manualRun, noon, occurrence, resultOf } from "../support/history-results.ts";
import { jobsOfBatch } from "../support/history-store-batches.ts";
import { spawnWriter } from "../support/history-store-process.ts";

const uses: [string, (store: HistoryStore) => Promise<unknown>][] = [
  ["record", (store) => store.record([resultOf()])],
  ["endedSince", (store) => store.endedSince(job, { commit: 0, mark: 0, count: 0 }, 5)],
  ["lastEnding", (store) => store.lastEnding()],
  ["list", (store) => store.list(job, 5)],
  ["find", (store) => store.find(manualRun("m1"))],
  ["findRecorded", (store) => store.findRecorded([occurrence()])],
  ["forget", (store) => store.forget(noon)],
  ["noteJobs", (store) => store.noteJobs([], { stream: "", sequence: 1 })],
  ["jobsPlace", (store) => store.jobsPlace()],
];

/** When a store may be used, and by whom. */
export function lifecycleSuite(engine: HistoryEngine, size: StoreSize): void {
  const rig = useStore(engine, size);

  it.each(uses)("refuses %s before it was started and after it was stopped", async (_, use) => {
    const early = engine.create(rig.place, size);
    await expect(use(early)).rejects.toThrow();
    await use(rig.store);
    await rig.store.stop();
    await expect(use(rig.store)).rejects.toThrow();
  });

  it("is started and stopped once, however often it is asked", async () => {
    await rig.store.start();
    await rig.store.record([resultOf()]);
    await rig.store.start();
    expect(await rig.store.list(job, 5)).toHaveLength(1);
    await rig.store.stop();
    await rig.store.stop();
    const never = engine.create(rig.place, size);
    await never.stop();
    await rig.reopen();
    expect(await rig.store.list(job, 5)).toHaveLength(1);
  });

  it("stops when the calls that are under way are done", async () => {
    const calls = Array.from({ length: 20 }, (_, i) => rig.store.record([resultOf({ second: noon + i })]));
    const listing = rig.store.list(job, 50);
    await rig.store.stop();
    expect((await Promise.all(calls)).map(({ news }) => news)).toEqual(calls.map(() => 1));
    await listing;
    await rig.reopen();
    expect(await rig.store.list(job, 50)).toHaveLength(20);
  });

  it("is opened by one only, of this or another process, until that one stops", async () => {
    await rig.store.record([resultOf()]);
    const other = spawnWriter(engine, { place: rig.place, size }, "ignore");
    const answered: string[] = [];
    other.stdout.on("data", (line) => answered.push(String(line)));
    const ended = once(other, "close");
    const second = engine.create(rig.place, size);
    await expect(second.start()).rejects.toThrow();
    await second.stop();
    expect([(await ended)[0], answered]).toEqual([1, []]);
    expect((await rig.store.record([resultOf({ second: noon + 1 })])).news).toBe(1);
    await rig.store.stop();
    const third = engine.create(rig.place, size);
    await third.start();
    expect(await third.list(job, 5)).toHaveLength(2);
    await third.stop();
  });

  it("is opened by nobody while another process has it, until that one is gone", async () => {
    await rig.store.record([resultOf()]);
    await rig.store.stop();
    const owner = spawnWriter(engine, { place: rig.place, size });
    const gone = once(owner, "close");
    await once(owner.stdout, "data");
    const late = engine.create(rig.place, size);
    await expect(late.start()).rejects.toThrow();
    await expect(late.list(job, 5)).rejects.toThrow();
    owner.kill("SIGKILL");
    await gone;
    await rig.reopen();
    expect(await rig.store.list(job, 5)).toHaveLength(1);
    expect((await rig.store.list(jobsOfBatch.at(-1) ?? "", 5)).length).toBeGreaterThan(0);
  });
}
