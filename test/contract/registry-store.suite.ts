import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { allLanes, lanes, type RegistryStore, storedState } from "../../services/registry/store/contract.ts";
import type { RegistryStoreEngine } from "../support/registry-engine.ts";
import {
  callOf,
  change,
  createIn,
  creationOf,
  deleteIn,
  idOf,
  listAll,
  rowOf,
  takeAll,
} from "../support/registry-store-rows.ts";
import { crashSuite } from "./registry-store.crash.ts";
import { receiptsSuite } from "./registry-store.receipts.ts";

/** The promises of RegistryStore, kept by each engine. */
export function registryStoreSuite(engine: RegistryStoreEngine): void {
  let place: string;
  let store: RegistryStore;
  beforeEach(async () => {
    place = await engine.newPlace();
    store = engine.storeAt(place);
    await store.start();
  });
  afterEach(async () => {
    await store.stop();
    await engine.removePlace(place);
  });
  const reopen = async () => {
    await store.stop();
    store = engine.storeAt(place);
    await store.start();
    return store;
  };
  const keptAll = { lane: lanes.create, sinceMs: 0 } as const;
  const idsOf = (items: readonly { jobId: string }[]) => items.map(({ jobId }) => jobId);

  describe("the states of a job", () => {
    it("is there as it was written, also after a restart", async () => {
      const row = rowOf("a", { state: storedState.paused, effectiveFromMs: 2 ** 45, job: Buffer.from([0, 255, 7]) });
      expect(await store.createJobs([{ row }], keptAll)).toEqual({ kind: "created", earlier: new Map() });
      expect(await (await reopen()).findJob("a")).toEqual(row);
      expect(await store.findJob("b")).toBeUndefined();
    });

    it("is found by its states until its tombstone's receipt is written, and by nothing else once it is deleted", async () => {
      await createIn(store, "a", "b", "c");
      await change(store, "b", { state: storedState.paused });
      expect(await store.counts()).toEqual({ active: 2, paused: 1, outbox: 4 });
      expect(await deleteIn(store, "a")).toBe(2);
      expect(await store.counts()).toEqual({ active: 1, paused: 1, outbox: 5 });
      expect(await store.findJob("a")).toBeUndefined();
      expect(idsOf(await listAll(store))).toEqual(["b", "c"]);
      expect(await deleteIn(store, "a")).toBeUndefined();
      const states = await store.findStates(["c", "nobody", "a"]);
      expect(states).toEqual([rowOf("c"), undefined, rowOf("a", { generation: 2, state: storedState.deleted })]);
      const { edition } = await store.beginRebuild({ created: "x", sequence: 0 });
      const published = { timingGeneration: 1, deleted: true, sequence: 1, edition };
      // A job that stands is not removed by it.
      await store.writeReceipts(["a", "b"].map((jobId) => ({ jobId, keys: [], published })));
      expect(await store.findStates(["a"])).toEqual([undefined]);
      expect(await store.findJob("b")).toBeDefined();
    });
  });

  describe("creating", () => {
    it("writes all of a batch or none, jobs and outbox alike", async () => {
      await createIn(store, "taken");
      await expect(createIn(store, "a", "taken", "b")).rejects.toThrow();
      expect(idsOf(await listAll(store))).toEqual(["taken"]);
      expect(idsOf(await takeAll(store))).toEqual(["taken"]);
    });

    it("answers a known request id as before, and creates the others of its batch", async () => {
      await store.createJobs([creationOf("a", callOf("one", "x", "first"))], keptAll);
      const again = [
        creationOf("b"),
        creationOf("c", callOf("one", "x", "second")),
        creationOf("d", callOf("two", "y")),
      ];
      const earlier = new Map([[1, Buffer.from("first")]]);
      expect(await store.createJobs(again, keptAll)).toEqual({ kind: "created", earlier });
      expect(idsOf(await listAll(store))).toEqual(["a", "b", "d"]);
      expect(idsOf(await takeAll(store))).toEqual(["a", "b", "d"]);
      expect(await (await reopen()).findAnswers(["two", "none", "one"], 0)).toMatchObject([
        { answer: Buffer.from("answer to y"), fingerprint: Buffer.from("y") },
        undefined,
        { answer: Buffer.from("first") },
      ]);
    });

    it("makes one job of a request id that stands in a batch twice", async () => {
      const twice = ["a", "b", "c"].map((jobId) => creationOf(jobId, callOf("same", "x", jobId)));
      const earlier = new Map([1, 2].map((index) => [index, Buffer.from("a")]));
      expect(await store.createJobs(twice, keptAll)).toEqual({ kind: "created", earlier });
      expect(idsOf(await listAll(store))).toEqual(["a"]);
    });

    it("refuses a batch for a request id with other contents, used before or in the batch, and writes none of it", async () => {
      await store.createJobs([creationOf("a", callOf("used", "x"))], keptAll);
      const before = [creationOf("b", callOf("new", "x")), creationOf("c", callOf("used", "y"))];
      expect(await store.createJobs(before, keptAll)).toEqual({ kind: "reused", index: 1 });
      const within = [creationOf("b"), creationOf("c", callOf("new", "x")), creationOf("d", callOf("new", "y"))];
      expect(await store.createJobs(within, keptAll)).toEqual({ kind: "reused", index: 2 });
      expect(idsOf(await listAll(store))).toEqual(["a"]);
      expect(await store.findAnswers(["new"], 0)).toEqual([undefined]);
      expect(await store.counts()).toMatchObject({ outbox: 1 });
    });

    it("makes one job of calls with one request id that come together", async () => {
      const calls = Array.from({ length: 30 }, (_, number) =>
        store.createJobs([creationOf(idOf(number), callOf("together", "x", idOf(number)))], keptAll),
      );
      const outcomes = await Promise.all(calls);
      const [created] = await listAll(store);
      const answers = outcomes.map((outcome) => (outcome.kind === "created" ? outcome.earlier.get(0) : undefined));
      expect(answers.filter((answer) => answer === undefined)).toHaveLength(1);
      expect(new Set(answers.filter(Boolean).map(String))).toEqual(new Set([created?.jobId]));
      expect(await store.counts()).toEqual({ active: 1, paused: 0, outbox: 1 });
    });

    it("forgets a request id from before the instant that it is asked with, and remembers its next use", async () => {
      await store.createJobs([creationOf("a", callOf("id", "x", "old", 1_000))], keptAll);
      expect(await store.findAnswers(["id"], 1_000)).toMatchObject([{ answer: Buffer.from("old") }]);
      expect(await store.findAnswers(["id"], 1_001)).toEqual([undefined]);
      const next = [creationOf("b", callOf("id", "y", "new", 2_000))];
      await store.createJobs(next, { lane: lanes.create, sinceMs: 1_001 });
      expect(await store.findAnswers(["id"], 0)).toMatchObject([{ answer: Buffer.from("new") }]);
      expect(idsOf(await listAll(store))).toEqual(["a", "b"]);
    });

    it("forgets what is too old by as many as it is told at a time", async () => {
      const ids = Array.from({ length: 10 }, (_, number) => idOf(number));
      const creations = ids.map((id, number) => creationOf(id, callOf(id, id, id, number * 10)));
      await store.createJobs(creations, keptAll);
      expect(await store.expireRequests(70, 4)).toBe(4);
      expect(await store.expireRequests(70, 4)).toBe(3);
      expect(await store.expireRequests(70, 4)).toBe(0);
      const left = await store.findAnswers(ids, 0);
      expect(left.map((answer) => answer !== undefined)).toEqual([...Array(7).fill(false), true, true, true]);
    });
  });

  describe("changing", () => {
    it("decides on what the change before it left, however many come at once", async () => {
      const ids = Array.from({ length: 20 }, (_, number) => idOf(number));
      await createIn(store, ...ids);
      const calls = Array.from({ length: 400 }, (_, call) => change(store, ids[call % ids.length] ?? ""));
      const generations = await Promise.all(calls);
      for (const [number, id] of ids.entries()) {
        const own = generations.filter((_, call) => call % ids.length === number);
        expect(own.toSorted((a, b) => Number(a) - Number(b))).toEqual(Array.from({ length: 20 }, (_, n) => n + 2));
        expect((await store.findJob(id))?.generation).toBe(21);
      }
      expect(await store.counts()).toMatchObject({ outbox: 20 + 400 });
    });

    it("lets one of those win that rely on the same generation", async () => {
      await createIn(store, "a");
      const calls = Array.from({ length: 20 }, (_, call) =>
        store.changeJob<number | "too late">("a", (row) =>
          row.generation === 1
            ? { next: { ...row, generation: 2, job: Buffer.from(String(call)) }, answer: call }
            : { answer: "too late" },
        ),
      );
      const [winner, ...others] = (await Promise.all(calls)).filter((answer) => answer !== "too late");
      expect(others).toEqual([]);
      expect(String((await store.findJob("a"))?.job)).toBe(String(winner));
      expect(await store.counts()).toMatchObject({ outbox: 2 });
    });

    it("writes nothing without a next row, and nothing when the decision throws, which is told to its caller alone", async () => {
      await createIn(store, "a", "b");
      const failing = store.changeJob("a", () => {
        throw new Error("undecided");
      });
      const calls = [
        change(store, "b"),
        failing,
        store.changeJob("a", ({ generation }) => ({ answer: generation })),
        change(store, "b"),
      ];
      const outcomes = await Promise.allSettled(calls);
      expect(outcomes.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled", "fulfilled"]);
      await expect(failing).rejects.toThrow("undecided");
      expect(await store.findJob("a")).toEqual(rowOf("a"));
      expect((await store.findJob("b"))?.generation).toBe(3);
      expect(await store.counts()).toMatchObject({ outbox: 4 });
    });
  });

  describe("a manual run", () => {
    const run = (executionId: string) => () => ({ executionId, payload: Buffer.from(`due ${executionId}`) });
    const asked = (requestId: string, contents: string, answer: string) => ({
      call: callOf(requestId, contents, answer),
      sinceMs: 0,
    });

    it("goes into the outbox with what was made of the job's row", async () => {
      await createIn(store, "a");
      const outcome = await store.addRun("a", ({ job }) => ({ executionId: "a-m1", payload: job }));
      expect(outcome).toEqual({ kind: "added" });
      const [entry] = await (await reopen()).takeOutbox([lanes.change], 10);
      expect(entry).toMatchObject({ jobId: "a", run: { executionId: "a-m1", payload: rowOf("a").job } });
      expect(await store.addRun("nobody", run("x"))).toEqual({ kind: "no job" });
    });

    it("is made once for a request id, which is answered also when the job is gone", async () => {
      await createIn(store, "a", "b");
      expect(await store.addRun("a", run("1"), asked("id", "a", "one"))).toEqual({ kind: "added" });
      await deleteIn(store, "a");
      const earlier = { kind: "earlier", answer: Buffer.from("one") };
      expect(await store.addRun("a", run("2"), asked("id", "a", "two"))).toEqual(earlier);
      expect(await store.addRun("b", run("3"), asked("id", "b", "three"))).toEqual({ kind: "reused" });
      // Ids of creates are others.
      expect(await store.findAnswers(["id"], 0)).toEqual([undefined]);
      expect((await takeAll(store)).filter((entry) => entry.run).map((entry) => entry.run?.executionId)).toEqual(["1"]);
    });

    it("is not remembered when it could not be made", async () => {
      await createIn(store, "a");
      const fail = () => {
        throw new Error("no run of this");
      };
      await expect(store.addRun("a", fail, asked("id", "a", "one"))).rejects.toThrow("no run of this");
      expect(await store.addRun("b", run("1"), asked("other", "b", "one"))).toEqual({ kind: "no job" });
      expect(await store.addRun("a", run("2"), asked("id", "a", "two"))).toEqual({ kind: "added" });
      await createIn(store, "b");
      expect(await store.addRun("b", run("3"), asked("other", "b", "three"))).toEqual({ kind: "added" });
    });
  });

  describe("a list of jobs", () => {
    it("ends a page by number and by bytes, and says whether it goes on", async () => {
      const ids = [5, 3, 1, 4, 2].map(idOf);
      const creations = ids.map((jobId) => ({ row: rowOf(jobId, { job: Buffer.alloc(100) }) }));
      await store.createJobs(creations, keptAll);
      const page = async (afterId: string, limit: number, maxBytes: number) => {
        const { rows, goesOn } = await store.listJobs({ afterId, limit, maxBytes });
        return [rows.length, rows.at(-1)?.jobId, goesOn];
      };
      expect(await page("", 2, 1_000)).toEqual([2, idOf(2), true]);
      expect(await page(idOf(3), 2, 1_000)).toEqual([2, idOf(5), false]);
      expect(await page("", 10, 300)).toEqual([3, idOf(3), true]);
      expect(await page(idOf(2), 10, 300)).toEqual([3, idOf(5), false]);
      expect(await page("", 10, 0)).toEqual([1, idOf(1), true]);
      expect(await page(idOf(5), 10, 1_000)).toEqual([0, undefined, false]);
      await deleteIn(store, idOf(5));
      expect(await page("", 4, 1_000)).toEqual([4, idOf(4), false]);
    });

    it("shows each job that stands once, in order, while others come and go", async () => {
      const standing = Array.from({ length: 60 }, (_, number) => idOf(number * 10));
      const going = Array.from({ length: 60 }, (_, number) => idOf(number * 10 + 5));
      await createIn(store, ...standing, ...going);
      const seen: string[] = [];
      for (let goesOn = true, pages = 0; goesOn; pages++) {
        const page = await store.listJobs({ afterId: seen.at(-1) ?? "", limit: 7, maxBytes: 1_000_000 });
        seen.push(...idsOf(page.rows));
        goesOn = page.goesOn;
        // Before the place and behind it.
        const coming = [pages * 10 + 1, 590 - pages * 10 + 2].map(idOf);
        await Promise.all([
          createIn(store, ...coming),
          ...[going[pages], going[59 - pages]].map((jobId) => deleteIn(store, jobId ?? "")),
        ]);
      }
      expect(seen).toEqual([...new Set(seen)].toSorted());
      expect(standing.filter((jobId) => !seen.includes(jobId))).toEqual([]);
    });
  });

  describe("starting and stopping", () => {
    const callsOf = (one: RegistryStore): Promise<unknown>[] => [
      createIn(one, "a"),
      one.findAnswers(["x"], 0),
      one.expireRequests(0, 1),
      change(one, "a"),
      one.addRun("a", () => ({ executionId: "x", payload: new Uint8Array() })),
      one.findJob("a"),
      one.findStates(["a"]),
      one.listJobs({ afterId: "", limit: 1, maxBytes: 1 }),
      one.counts(),
      one.takeOutbox(allLanes, 1),
      one.writeReceipts([]),
      one.readMark(),
      one.beginRebuild({ created: "x", sequence: 0 }),
    ];
    const statuses = async (calls: Promise<unknown>[]) =>
      new Set((await Promise.allSettled(calls)).map(({ status }) => status));

    it("refuses each call before the start and after the stop", async () => {
      const unstarted = engine.storeAt(place);
      expect(await statuses(callsOf(unstarted))).toEqual(new Set(["rejected"]));
      await store.stop();
      expect(await statuses(callsOf(store))).toEqual(new Set(["rejected"]));
      await reopen();
      expect(await store.counts()).toEqual({ active: 0, paused: 0, outbox: 0 });
    });

    it("finishes what was handed in before it stops, and both may be asked for twice", async () => {
      const ids = Array.from({ length: 5_000 }, (_, number) => idOf(number));
      const created = Promise.all(ids.map((jobId) => createIn(store, jobId)));
      const stopped = Promise.all([store.stop(), store.stop()]);
      const late = statuses(callsOf(store));
      await stopped;
      await created;
      expect(await late).toEqual(new Set(["rejected"]));
      await reopen();
      await Promise.all([store.start(), store.start()]);
      expect((await store.counts()).active).toBe(ids.length);
    });
  });

  const opened = { store: () => store, reopen };
  receiptsSuite(opened);
  crashSuite(engine);
}
