import { setImmediate as nextTurn } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { lanes, storedState } from "../../services/registry/store/contract.ts";
import { type RegistryEngine, useStore } from "../support/registry-engine.ts";
import {
  change,
  createIn,
  deleteIn,
  idOf,
  idsOf,
  jobA,
  jobB,
  jobC,
  jobE,
  jobOf,
  keptAll,
  listAll,
  rowOf,
  runOf,
  takeAll,
} from "../support/registry-store-rows.ts";

/** What is found of jobs, one by one and page by page. */
export function readingSuite(engine: RegistryEngine): void {
  const rig = useStore(engine);

  describe("the states of a job", () => {
    it("is there as it was written, also after a restart", async () => {
      const row = rowOf(jobA, {
        state: storedState.paused,
        effectiveFromMs: 2 ** 45,
        job: jobOf(jobA, "\0\u{ff}\x07"),
      });
      expect(await rig.store.createJobs([{ row }], keptAll)).toEqual({ kind: "created", earlier: new Map() });
      expect(await (await rig.reopen()).findJob(jobA)).toEqual(row);
      expect(await rig.store.findJob(jobB)).toBeUndefined();
    });

    it("is found by its states until its tombstone's receipt is written, and by nothing else once it is deleted", async () => {
      await createIn(rig.store, jobA, jobB, jobC);
      await change(rig.store, jobB, { state: storedState.paused });
      expect(await rig.store.counts()).toEqual({ active: 2, paused: 1, outbox: 4 });
      expect(await deleteIn(rig.store, jobA)).toBe(2);
      expect(await rig.store.counts()).toEqual({ active: 1, paused: 1, outbox: 5 });
      expect(await rig.store.findJob(jobA)).toBeUndefined();
      expect(idsOf(await listAll(rig.store))).toEqual([jobB, jobC]);
      expect(await deleteIn(rig.store, jobA)).toBeUndefined();
      const states = await rig.store.findStates([jobC, jobE, jobA]);
      expect(states).toEqual([rowOf(jobC), undefined, rowOf(jobA, { generation: 2, state: storedState.deleted })]);
      const { edition } = await rig.store.beginRebuild({ created: "x", sequence: 0 });
      const published = { timingGeneration: 1, deleted: true, sequence: 1, edition };
      // A job that stands is not removed by it.
      await rig.store.writeReceipts([jobA, jobB].map((jobId) => ({ jobId, keys: [], published })));
      expect(await rig.store.findStates([jobA])).toEqual([undefined]);
      expect(await rig.store.findJob(jobB)).toBeDefined();
    });

    it("is not found by any text but its id as it is written", async () => {
      await createIn(rig.store, jobA);
      const texts = [
        "",
        "nobody",
        jobA.toUpperCase(),
        `{${jobA}}`,
        jobA.replaceAll("-", ""),
        ` ${jobA}`,
        "\u0000",
        jobE,
      ];
      for (const text of texts) {
        expect(await rig.store.findJob(text), text).toBeUndefined();
        expect(await change(rig.store, text), text).toBeUndefined();
        expect(await rig.store.addRun(text, runOf(jobA, "1")), text).toEqual({ kind: "no job" });
      }
      expect(await rig.store.findStates([...texts, jobA])).toEqual([...texts.map(() => undefined), rowOf(jobA)]);
      expect(await rig.store.counts()).toMatchObject({ outbox: 1 });
    });

    it("is found at least as new as each outbox entry that was taken before", async () => {
      const ids = Array.from({ length: 10 }, (_, number) => idOf(number));
      await createIn(rig.store, ...ids);
      await takeAll(rig.store);
      let over = false;
      const changing = Promise.all(
        ids.map(async (id) => {
          for (let turn = 0; turn < 20; turn++) await change(rig.store, id);
        }),
      ).finally(() => {
        over = true;
      });
      const taken = new Map(ids.map((id) => [id, 1]));
      const older: string[] = [];
      for (let last = false; !last; ) {
        last = over;
        for (const { jobId } of await rig.store.takeOutbox([lanes.change], 30)) {
          taken.set(jobId, (taken.get(jobId) ?? 0) + 1);
        }
        const states = await rig.store.findStates(ids);
        older.push(...ids.filter((id, index) => (states[index]?.generation ?? 0) < (taken.get(id) ?? 0)));
        await nextTurn();
      }
      await changing;
      expect(older).toEqual([]);
      expect(new Set(taken.values())).toEqual(new Set([21]));
    });
  });

  describe("a list of jobs", () => {
    it("ends a page by number and by bytes, and says whether it goes on", async () => {
      const ids = [5, 3, 1, 4, 2].map(idOf);
      const creations = ids.map((jobId) => ({ row: rowOf(jobId, { job: jobOf("", "x".repeat(98)) }) }));
      await rig.store.createJobs(creations, keptAll);
      const page = async (afterId: string, limit: number, maxBytes: number) => {
        const { rows, goesOn } = await rig.store.listJobs({ afterId, limit, maxBytes });
        return [rows.length, rows.at(-1)?.jobId, goesOn];
      };
      expect(await page("", 2, 1_000)).toEqual([2, idOf(2), true]);
      expect(await page(idOf(3), 2, 1_000)).toEqual([2, idOf(5), false]);
      expect(await page("", 10, 300)).toEqual([3, idOf(3), true]);
      expect(await page(idOf(2), 10, 300)).toEqual([3, idOf(5), false]);
      expect(await page("", 10, 0)).toEqual([1, idOf(1), true]);
      expect(await page(idOf(5), 10, 1_000)).toEqual([0, undefined, false]);
      await deleteIn(rig.store, idOf(5));
      expect(await page("", 4, 1_000)).toEqual([4, idOf(4), false]);
    });

    it("shows each job that stands once, in order, while others come and go", async () => {
      const standing = Array.from({ length: 60 }, (_, number) => idOf(number * 10));
      const going = Array.from({ length: 60 }, (_, number) => idOf(number * 10 + 5));
      await createIn(rig.store, ...standing, ...going);
      const seen: string[] = [];
      for (let goesOn = true, pages = 0; goesOn; pages++) {
        const page = await rig.store.listJobs({ afterId: seen.at(-1) ?? "", limit: 7, maxBytes: 1_000_000 });
        seen.push(...idsOf(page.rows));
        goesOn = page.goesOn;
        // Before the place and behind it.
        const coming = [pages * 10 + 1, 590 - pages * 10 + 2].map(idOf);
        await Promise.all([
          createIn(rig.store, ...coming),
          ...[going[pages], going[59 - pages]].map((jobId) => deleteIn(rig.store, jobId ?? "")),
        ]);
      }
      expect(seen).toEqual([...new Set(seen)].toSorted());
      expect(standing.filter((jobId) => !seen.includes(jobId))).toEqual([]);
    });
  });
}
