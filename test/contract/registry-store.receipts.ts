import { describe, expect, it } from "vitest";
import { allLanes, lanes, type OutboxEntry, type Receipt } from "../../services/registry/store/contract.ts";
import type { SuiteStore } from "../support/registry-engine.ts";
import { change, createIn, creationOf, idOf, takeAll } from "../support/registry-store-rows.ts";

/** The outbox, the receipts of what was published from it, and the mark. */
export function receiptsSuite({ store, reopen }: SuiteStore): void {
  const idsOf = (entries: readonly OutboxEntry[]) => entries.map(({ jobId }) => jobId);
  const run = (executionId: string) => () => ({ executionId, payload: new Uint8Array([1]) });
  const receiptOf = (entry: OutboxEntry, sequence: number, edition: number, timingGeneration = 1): Receipt => ({
    jobId: entry.jobId,
    keys: [entry.key],
    published: { timingGeneration, deleted: false, sequence, edition },
  });
  const beginStream = async () => (await store().beginRebuild({ created: "stream", sequence: 0 })).edition;

  describe("the outbox", () => {
    it("hands out lower lanes first, each lane in the order of writing", async () => {
      await store().createJobs([creationOf("d"), creationOf("c")], { lane: lanes.batchCreate, sinceMs: 0 });
      await createIn(store(), "b");
      await createIn(store(), "a");
      await change(store(), "c");
      await store().addRun("a", run("a-m1"));
      expect(idsOf(await store().takeOutbox([lanes.change], 1))).toEqual(["c"]);
      expect(idsOf(await store().takeOutbox(allLanes, 3))).toEqual(["a", "b", "a"]);
      await change(store(), "b");
      expect(idsOf(await store().takeOutbox([lanes.change], 100))).toEqual(["b"]);
      expect(idsOf(await store().takeOutbox(allLanes, 100))).toEqual(["d", "c"]);
      expect(await store().takeOutbox(allLanes, 100)).toEqual([]);
    });

    it("hands out each entry once, while others are added", async () => {
      const taken: OutboxEntry[] = [];
      const adding = Array.from({ length: 300 }, (_, number) => createIn(store(), idOf(number)));
      let added = false;
      const all = Promise.all(adding).then(() => {
        added = true;
      });
      while (!added) {
        taken.push(...(await store().takeOutbox(allLanes, 7)));
        await new Promise((resolve) => setImmediate(resolve));
      }
      await all;
      taken.push(...(await takeAll(store())));
      expect(idsOf(taken).toSorted()).toEqual(Array.from({ length: 300 }, (_, number) => idOf(number)));
    });

    it("hands out what has no receipt once more after the next start, in the same order", async () => {
      await createIn(store(), "a", "b", "c", "d");
      const edition = await beginStream();
      const [a, b, c] = await takeAll(store());
      if (!a || !b || !c) throw new Error("nothing was taken");
      await store().writeReceipts([receiptOf(a, 1, edition), receiptOf(c, 2, edition)]);
      await reopen();
      expect(idsOf(await takeAll(store()))).toEqual(["b", "d"]);
      await createIn(store(), "e");
      expect(idsOf(await takeAll(store()))).toEqual(["e"]);
    });

    it("tells of entries that were added, until it is asked no more", async () => {
      let told = 0;
      const told1 = new Promise<void>((resolve) => {
        const end = store().onOutbox(() => {
          told++;
          end();
          resolve();
        });
      });
      await createIn(store(), "a");
      await told1;
      const next = new Promise<void>((resolve) => store().onOutbox(resolve));
      await change(store(), "a");
      await next;
      const run1 = new Promise<void>((resolve) => store().onOutbox(resolve));
      await store().addRun("a", run("a-m1"));
      await run1;
      expect(told).toBe(1);
    });
  });

  describe("receipts", () => {
    it("end their entries and note the sequence of each timing and the highest of all", async () => {
      await createIn(store(), "a", "b");
      await store().addRun("a", run("a-m1"));
      const edition = await beginStream();
      const [ran, a, b] = await takeAll(store());
      if (!ran || !a || !b) throw new Error("nothing was taken");
      const gone = { jobId: ran.jobId, keys: [ran.key] };
      expect(await store().writeReceipts([receiptOf(b, 9, edition), gone, receiptOf(a, 7, edition)])).toBe(edition);
      await reopen();
      expect(await store().findStates(["a", "b"])).toMatchObject([
        { timingSequence: 7, timingEdition: edition, generation: 1 },
        { timingSequence: 9, timingEdition: edition },
      ]);
      expect(await store().readMark()).toMatchObject({ edition, created: "stream", sequence: 9 });
      expect(await store().counts()).toMatchObject({ outbox: 0 });
    });

    it("change nothing when they are written again, and nothing of a timing that was noted or has changed", async () => {
      await createIn(store(), "a", "b");
      const edition = await beginStream();
      const [a, b] = await takeAll(store());
      if (!a || !b) throw new Error("nothing was taken");
      await store().writeReceipts([receiptOf(a, 5, edition)]);
      const before = [await store().findJob("a"), await store().readMark(), await store().counts()];
      await store().writeReceipts([receiptOf(a, 5, edition)]);
      expect([await store().findJob("a"), await store().readMark(), await store().counts()]).toEqual(before);
      await store().writeReceipts([receiptOf(a, 8, edition)]);
      expect(await store().findJob("a")).toMatchObject({ timingSequence: 5 });
      expect(await store().readMark()).toMatchObject({ sequence: 8 });
      await store().writeReceipts([receiptOf(a, 6, edition)]);
      expect(await store().readMark()).toMatchObject({ sequence: 8 });
      await change(store(), "b", { timingGeneration: 2 });
      await store().writeReceipts([receiptOf(b, 9, edition, 1)]);
      expect(await store().findJob("b")).toMatchObject({ timingSequence: 0, timingGeneration: 2 });
      expect(await store().counts()).toMatchObject({ outbox: 1 });
    });

    it("are not lost to changes of the same job that come with them", async () => {
      const ids = Array.from({ length: 50 }, (_, number) => idOf(number));
      await createIn(store(), ...ids);
      const edition = await beginStream();
      const entries = await takeAll(store());
      const changes = ids.map((jobId) => change(store(), jobId));
      await store().writeReceipts(entries.map((entry, index) => receiptOf(entry, index + 1, edition)));
      await Promise.all([...changes, ...ids.map((jobId) => change(store(), jobId))]);
      const rows = await store().findStates(ids);
      expect(rows.map((row) => [row?.generation, row?.timingSequence])).toEqual(ids.map((_, index) => [3, index + 1]));
    });

    it("of an earlier edition end nothing, whatever is written beside them", async () => {
      await createIn(store(), "a", "b");
      await store().addRun("b", run("b-m1"));
      const earlier = await beginStream();
      const [ran, a, b] = await takeAll(store());
      if (!ran || !a || !b) throw new Error("nothing was taken");
      const edition = await beginStream();
      expect(edition).toBe(earlier + 1);
      const receipts = [receiptOf(a, 90, earlier), receiptOf(b, 3, edition), { jobId: "b", keys: [ran.key] }];
      expect(await store().writeReceipts(receipts, { edition: earlier, rebuiltUpTo: "z" })).toBe(edition);
      expect(await store().findStates(["a", "b"])).toMatchObject([{ timingSequence: 0 }, { timingSequence: 3 }]);
      expect(await store().readMark()).toEqual({ edition, created: "stream", sequence: 3, rebuiltUpTo: "" });
      await reopen();
      expect(idsOf(await takeAll(store()))).toEqual(["a"]);
    });
  });

  describe("the mark", () => {
    it("says nothing before the first stream, and gets the next edition with each", async () => {
      expect(await store().readMark()).toEqual({ edition: 0, created: "", sequence: 0, rebuiltUpTo: undefined });
      const marks = await Promise.all(
        [3, 1, 2].map((sequence) => store().beginRebuild({ created: `s${sequence}`, sequence })),
      );
      expect(marks.map(({ edition }) => edition).toSorted()).toEqual([1, 2, 3]);
      const last = marks.find(({ edition }) => edition === 3);
      expect(last).toMatchObject({ rebuiltUpTo: "" });
      expect(await (await reopen()).readMark()).toEqual(last);
    });

    it("moves with the rebuild of its own edition, and stands still without one", async () => {
      const edition = await beginStream();
      await store().writeReceipts([], { edition, rebuiltUpTo: "m" });
      expect(await store().readMark()).toMatchObject({ edition, created: "stream", rebuiltUpTo: "m" });
      await store().writeReceipts([]);
      expect(await store().readMark()).toMatchObject({ rebuiltUpTo: "m" });
      await store().writeReceipts([], { edition, rebuiltUpTo: undefined });
      expect((await (await reopen()).readMark()).rebuiltUpTo).toBeUndefined();
    });
  });
}
