import { describe, expect, it } from "vitest";
import { allLanes, lanes, type OutboxEntry, type Receipt } from "../../services/registry/store/contract.ts";
import type { StreamMark } from "../../services/registry/store/stream-mark.ts";
import { type RegistryEngine, useStore } from "../support/registry-engine.ts";
import {
  change,
  createIn,
  creationOf,
  idOf,
  idsOf,
  jobA,
  jobB,
  jobC,
  jobD,
  jobE,
  runOf,
  takeAll,
} from "../support/registry-store-rows.ts";

/** The outbox, the receipts of what was published from it, and the mark. */
export function receiptsSuite(engine: RegistryEngine): void {
  const rig = useStore(engine);
  const receiptOf = (entry: OutboxEntry, sequence: number, edition: number, timingGeneration = 1): Receipt => ({
    jobId: entry.jobId,
    keys: [entry.key],
    published: { timingGeneration, deleted: false, sequence, edition },
  });
  const beginStream = async () => (await rig.store.beginRebuild({ created: "stream", sequence: 0 })).edition;

  describe("the outbox", () => {
    it("hands out lower lanes first, each lane in the order of writing", async () => {
      await rig.store.createJobs([creationOf(jobD), creationOf(jobC)], { lane: lanes.batchCreate, sinceMs: 0 });
      await createIn(rig.store, jobB);
      await createIn(rig.store, jobA);
      await change(rig.store, jobC);
      await rig.store.addRun(jobA, runOf(jobA, "1"));
      expect(idsOf(await rig.store.takeOutbox([lanes.change], 1))).toEqual([jobC]);
      expect(idsOf(await rig.store.takeOutbox(allLanes, 3))).toEqual([jobA, jobB, jobA]);
      await change(rig.store, jobB);
      expect(idsOf(await rig.store.takeOutbox([lanes.change], 100))).toEqual([jobB]);
      expect(idsOf(await rig.store.takeOutbox(allLanes, 100))).toEqual([jobD, jobC]);
      expect(await rig.store.takeOutbox(allLanes, 100)).toEqual([]);
    });

    it("hands out each entry once, while others are added", async () => {
      const taken: OutboxEntry[] = [];
      const adding = Array.from({ length: 300 }, (_, number) => createIn(rig.store, idOf(number)));
      let added = false;
      const all = Promise.all(adding).then(() => {
        added = true;
      });
      while (!added) {
        taken.push(...(await rig.store.takeOutbox(allLanes, 7)));
        await new Promise((resolve) => setImmediate(resolve));
      }
      await all;
      taken.push(...(await takeAll(rig.store)));
      expect(idsOf(taken).toSorted()).toEqual(Array.from({ length: 300 }, (_, number) => idOf(number)));
    });

    it("hands out what has no receipt once more after the next start, in the same order", async () => {
      await createIn(rig.store, jobA, jobB, jobC, jobD);
      const edition = await beginStream();
      const [a, b, c] = await takeAll(rig.store);
      if (!a || !b || !c) throw new Error("nothing was taken");
      await rig.store.writeReceipts([receiptOf(a, 1, edition), receiptOf(c, 2, edition)]);
      await rig.reopen();
      expect(idsOf(await takeAll(rig.store))).toEqual([jobB, jobD]);
      await createIn(rig.store, jobE);
      expect(idsOf(await takeAll(rig.store))).toEqual([jobE]);
    });

    it("tells of entries that were added, until it is asked no more", async () => {
      let told = 0;
      const told1 = new Promise<void>((resolve) => {
        const end = rig.store.onOutbox(() => {
          told++;
          end();
          resolve();
        });
      });
      await createIn(rig.store, jobA);
      await told1;
      const next = new Promise<void>((resolve) => rig.store.onOutbox(resolve));
      await change(rig.store, jobA);
      await next;
      const run1 = new Promise<void>((resolve) => rig.store.onOutbox(resolve));
      await rig.store.addRun(jobA, runOf(jobA, "1"));
      await run1;
      expect(told).toBe(1);
    });
  });

  describe("receipts", () => {
    it("end their entries and note the sequence of each timing and the highest of all", async () => {
      await createIn(rig.store, jobA, jobB);
      await rig.store.addRun(jobA, runOf(jobA, "1"));
      const edition = await beginStream();
      const [ran, a, b] = await takeAll(rig.store);
      if (!ran || !a || !b) throw new Error("nothing was taken");
      const gone = { jobId: ran.jobId, keys: [ran.key] };
      expect(await rig.store.writeReceipts([receiptOf(b, 9, edition), gone, receiptOf(a, 7, edition)])).toBe(edition);
      await rig.reopen();
      expect(await rig.store.findStates([jobA, jobB])).toMatchObject([
        { timingSequence: 7, timingEdition: edition, generation: 1 },
        { timingSequence: 9, timingEdition: edition },
      ]);
      expect(await rig.store.readMark()).toMatchObject({ edition, created: "stream", sequence: 9 });
      expect(await rig.store.counts()).toMatchObject({ outbox: 0 });
    });

    it("change nothing when they are written again, and nothing of a timing that was noted or has changed", async () => {
      await createIn(rig.store, jobA, jobB);
      const edition = await beginStream();
      const [a, b] = await takeAll(rig.store);
      if (!a || !b) throw new Error("nothing was taken");
      await rig.store.writeReceipts([receiptOf(a, 5, edition)]);
      const before = [await rig.store.findJob(jobA), await rig.store.readMark(), await rig.store.counts()];
      await rig.store.writeReceipts([receiptOf(a, 5, edition)]);
      expect([await rig.store.findJob(jobA), await rig.store.readMark(), await rig.store.counts()]).toEqual(before);
      await rig.store.writeReceipts([receiptOf(a, 8, edition)]);
      expect(await rig.store.findJob(jobA)).toMatchObject({ timingSequence: 5 });
      expect(await rig.store.readMark()).toMatchObject({ sequence: 8 });
      await rig.store.writeReceipts([receiptOf(a, 6, edition)]);
      expect(await rig.store.readMark()).toMatchObject({ sequence: 8 });
      await change(rig.store, jobB, { timingGeneration: 2 });
      await rig.store.writeReceipts([receiptOf(b, 9, edition, 1)]);
      expect(await rig.store.findJob(jobB)).toMatchObject({ timingSequence: 0, timingGeneration: 2 });
      expect(await rig.store.counts()).toMatchObject({ outbox: 1 });
    });

    it("are not lost to changes of the same job that come with them", async () => {
      const ids = Array.from({ length: 50 }, (_, number) => idOf(number));
      await createIn(rig.store, ...ids);
      const edition = await beginStream();
      const entries = await takeAll(rig.store);
      const changes = ids.map((jobId) => change(rig.store, jobId));
      await rig.store.writeReceipts(entries.map((entry, index) => receiptOf(entry, index + 1, edition)));
      await Promise.all([...changes, ...ids.map((jobId) => change(rig.store, jobId))]);
      const rows = await rig.store.findStates(ids);
      expect(rows.map((row) => [row?.generation, row?.timingSequence])).toEqual(ids.map((_, index) => [3, index + 1]));
    });

    it("of an earlier edition end nothing, whatever is written beside them", async () => {
      await createIn(rig.store, jobA, jobB);
      await rig.store.addRun(jobB, runOf(jobB, "1"));
      const earlier = await beginStream();
      const [ran, a, b] = await takeAll(rig.store);
      if (!ran || !a || !b) throw new Error("nothing was taken");
      const edition = await beginStream();
      expect(edition).toBe(earlier + 1);
      const receipts = [receiptOf(a, 90, earlier), receiptOf(b, 3, edition), { jobId: jobB, keys: [ran.key] }];
      expect(await rig.store.writeReceipts(receipts, { edition: earlier, rebuiltUpTo: jobE })).toBe(edition);
      expect(await rig.store.findStates([jobA, jobB])).toMatchObject([{ timingSequence: 0 }, { timingSequence: 3 }]);
      expect(await rig.store.readMark()).toEqual({ edition, created: "stream", sequence: 3, rebuiltUpTo: "" });
      await rig.reopen();
      expect(idsOf(await takeAll(rig.store))).toEqual([jobA]);
    });

    it("written while a rebuild begins come wholly before it or change nothing", async () => {
      const rounds = 20;
      let edition = await beginStream();
      for (let round = 0; round < rounds; round++) {
        const id = idOf(round);
        await createIn(rig.store, id);
        const [entry] = await takeAll(rig.store);
        if (!entry) throw new Error("nothing was taken");
        const write = () =>
          rig.store.writeReceipts([receiptOf(entry, 1_000 + round, edition)], { edition, rebuiltUpTo: id });
        const begin = () => rig.store.beginRebuild({ created: `${round}`, sequence: round });
        const [counted, mark] =
          round % 2 === 0
            ? await Promise.all([write(), begin()])
            : ((await Promise.all([begin(), write()])).toReversed() as [number, StreamMark]);
        expect(mark).toEqual({ edition: edition + 1, created: `${round}`, sequence: round, rebuiltUpTo: "" });
        expect(await rig.store.readMark()).toEqual(mark);
        const wasFirst = counted === edition;
        if (!wasFirst) expect(counted).toBe(mark.edition);
        const noted = wasFirst ? { timingSequence: 1_000 + round, timingEdition: edition } : { timingSequence: 0 };
        expect(await rig.store.findJob(id)).toMatchObject(noted);
        expect((await rig.store.counts()).outbox).toBe(wasFirst ? 0 : 1);
        if (!wasFirst) await rig.store.writeReceipts([receiptOf(entry, round, mark.edition)]);
        ({ edition } = mark);
      }
    });
  });

  describe("the mark", () => {
    it("says nothing before the first stream, and gets the next edition with each", async () => {
      expect(await rig.store.readMark()).toEqual({ edition: 0, created: "", sequence: 0, rebuiltUpTo: undefined });
      const marks = await Promise.all(
        [3, 1, 2].map((sequence) => rig.store.beginRebuild({ created: `s${sequence}`, sequence })),
      );
      expect(marks.map(({ edition }) => edition).toSorted()).toEqual([1, 2, 3]);
      const last = marks.find(({ edition }) => edition === 3);
      expect(last).toMatchObject({ rebuiltUpTo: "" });
      expect(await (await rig.reopen()).readMark()).toEqual(last);
    });

    it("moves with the rebuild of its own edition, and stands still without one", async () => {
      const edition = await beginStream();
      await rig.store.writeReceipts([], { edition, rebuiltUpTo: jobC });
      expect(await rig.store.readMark()).toMatchObject({ edition, created: "stream", rebuiltUpTo: jobC });
      await rig.store.writeReceipts([]);
      expect(await rig.store.readMark()).toMatchObject({ rebuiltUpTo: jobC });
      await rig.store.writeReceipts([], { edition, rebuiltUpTo: undefined });
      expect((await (await rig.reopen()).readMark()).rebuiltUpTo).toBeUndefined();
    });
  });
}
