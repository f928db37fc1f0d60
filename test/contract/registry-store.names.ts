import { describe, expect, it } from "vitest";
import { type JobRow, lanes, storedState } from "../../services/registry/store/contract.ts";
import type { JobName, Label } from "../../services/registry/store/named-jobs.ts";
import { type RegistryEngine, useStore } from "../support/registry-engine.ts";
import {
  callOf,
  change,
  creationOf,
  deleteIn,
  idOf,
  idsOf,
  jobA,
  jobB,
  jobC,
  jobD,
  jobOf,
  keptAll,
  listAll,
  rowOf,
  takeAll,
} from "../support/registry-store-rows.ts";

const named = (jobId: string, key: string, labels: Record<string, string> = {}): JobRow =>
  rowOf(jobId, { job: jobOf(jobId, "n", { key, labels }) });
const how = { lane: lanes.batchCreate };

/** What jobs are found by beside their ids: keys, which only one of them has, and labels. */
export function namesSuite(engine: RegistryEngine): void {
  const rig = useStore(engine);
  const createRows = (...rows: JobRow[]) =>
    rig.store.createJobs(
      rows.map((row) => ({ row })),
      keptAll,
    );
  /** Gives jobs other keys; "" takes the one away, undefined leaves the job alone. */
  const rename = (...changes: [JobName, string | undefined][]) =>
    rig.store.changeJobs(
      changes.map(([name]) => name),
      (rows) => ({
        next: rows.map((row, index) => {
          const key = changes[index]?.[1];
          if (!row || key === undefined) return undefined;
          return { ...named(row.jobId, key), generation: row.generation + 1 };
        }),
        answer: rows.map((row) => row?.generation),
      }),
      how,
    );
  const holders = (...keys: string[]) => rig.store.findKeys(keys);

  describe("a key", () => {
    it("names its job until that has another one or is deleted, also after a restart", async () => {
      await createRows(named(jobA, "a/b:c"), named(jobB, ""));
      expect(await rig.store.findJob({ key: "a/b:c" })).toEqual(named(jobA, "a/b:c"));
      for (const key of ["", "A/b:c", "a/b", jobA]) expect(await rig.store.findJob({ key }), key).toBeUndefined();
      expect(await rig.store.findJob("a/b:c")).toBeUndefined();
      await rename([{ key: "a/b:c" }, "z"]);
      await rig.reopen();
      expect(await holders("z", "a/b:c", "")).toEqual([jobA, undefined, undefined]);
      await deleteIn(rig.store, jobA);
      expect(await holders("z")).toEqual([undefined]);
      await createRows(named(jobC, "z"));
      expect(await holders("z")).toEqual([jobC]);
    });

    it("refuses a creation whole, of whichever job or place of the batch it is already", async () => {
      await createRows(named(jobA, "a"));
      expect(await createRows(rowOf(jobB), named(jobC, "a"))).toEqual({ kind: "taken", index: 1, by: { jobId: jobA } });
      expect(await createRows(named(jobB, "b"), rowOf(jobC), named(jobD, "b"))).toEqual({
        kind: "taken",
        index: 2,
        by: { index: 0 },
      });
      expect(idsOf(await listAll(rig.store))).toEqual([jobA]);
      expect(await takeAll(rig.store)).toHaveLength(1);
    });

    it("is no obstacle to a call that was answered before, nor to its repetition in a batch", async () => {
      const first = { row: named(jobA, "a"), request: callOf("id", "x", "first") };
      const again = { row: named(jobB, "a"), request: callOf("id", "x", "second") };
      const earlier = new Map([[1, Buffer.from("first")]]);
      expect(await rig.store.createJobs([first, again], keptAll)).toEqual({ kind: "created", earlier });
      expect(await rig.store.createJobs([creationOf(jobC), again], keptAll)).toEqual({ kind: "created", earlier });
      expect(await holders("a")).toEqual([jobA]);
    });

    it("is one job's, of however many that are created or renamed at once", async () => {
      const creations = Array.from({ length: 20 }, (_, number) => createRows(named(idOf(number), "a")));
      const created = (await Promise.all(creations)).filter(({ kind }) => kind === "created");
      expect(created).toHaveLength(1);
      await createRows(rowOf(jobA), rowOf(jobB), rowOf(jobC));
      const renamed = await Promise.all([jobA, jobB, jobC].map((jobId) => rename([jobId, "b"])));
      expect(renamed.map(({ kind }) => kind).sort()).toEqual(["changed", "taken", "taken"]);
    });
  });

  describe("changing named jobs", () => {
    it("changes and creates all of them or none, with an outbox entry each", async () => {
      await createRows(named(jobA, "a"), named(jobB, "b"));
      await takeAll(rig.store);
      const changed = await rig.store.changeJobs(
        [jobA, { key: "c" }, { key: "b" }],
        ([a, c, b]) => ({
          next: [a && { ...a, generation: 2 }, named(jobC, "c"), undefined],
          answer: [a?.jobId, c, b?.jobId],
        }),
        how,
      );
      expect(changed).toEqual({ kind: "changed", answer: [jobA, undefined, jobB] });
      expect((await takeAll(rig.store)).map(({ jobId, key }) => [jobId, key.lane])).toEqual([
        [jobA, lanes.change],
        [jobC, lanes.batchCreate],
      ]);
      expect(await holders("a", "b", "c")).toEqual([jobA, jobB, jobC]);
      const before = await listAll(rig.store);
      expect(await rename([jobB, "free"], [jobA, "c"])).toEqual({ kind: "taken", index: 1, by: { jobId: jobC } });
      const failing = rig.store.changeJobs(
        [jobA],
        () => {
          throw new Error("undecided");
        },
        how,
      );
      await expect(failing).rejects.toThrow("undecided");
      expect(await listAll(rig.store)).toEqual(before);
      expect(await takeAll(rig.store)).toEqual([]);
    });

    it("passes keys on within a call, in whatever order", async () => {
      await createRows(named(jobA, "a"), named(jobB, "b"), named(jobC, "c"));
      expect(await rename([jobA, "b"], [jobB, "c"], [jobC, "a"])).toMatchObject({ kind: "changed" });
      expect(await holders("a", "b", "c")).toEqual([jobC, jobA, jobB]);
      expect(await rename([jobB, "a"], [jobC, ""])).toMatchObject({ kind: "changed" });
      expect(await holders("a", "b", "c")).toEqual([jobB, jobA, undefined]);
      expect(await rename([jobA, "x"], [jobB, "x"])).toEqual({ kind: "taken", index: 1, by: { index: 0 } });
    });

    it("decides on what the call before it left, and writes nothing when it is only asked", async () => {
      await createRows(named(jobA, "a"));
      const calls = Array.from({ length: 20 }, () => rename([{ key: "a" }, "a"]));
      const seen = (await Promise.all(calls)).map((call) => call.kind === "changed" && call.answer[0]);
      expect(seen).toEqual(Array.from({ length: 20 }, (_, index) => index + 1));
      const [row] = await listAll(rig.store);
      const only = { ...how, validateOnly: true };
      const next = [row && { ...row, generation: 99 }, named(jobB, "a")];
      const ask = (rows: typeof next) =>
        rig.store.changeJobs([jobA, { key: "new" }], () => ({ next: rows, answer: 1 }), only);
      expect(await ask([undefined, named(jobB, "b")])).toEqual({ kind: "changed", answer: 1 });
      expect(await ask(next)).toEqual({ kind: "taken", index: 1, by: { index: 0 } });
      const creation = { row: named(jobC, "a"), request: callOf("id", "x") };
      const create = (one: typeof creation) =>
        rig.store.createJobs([one], { lane: lanes.create, sinceMs: 0, validateOnly: true });
      expect(await create(creation)).toEqual({ kind: "taken", index: 0, by: { jobId: jobA } });
      expect(await create({ ...creation, row: named(jobC, "c") })).toMatchObject({ kind: "created" });
      expect(await listAll(rig.store)).toEqual([row]);
      expect(await rig.store.findAnswers(["id"], 0)).toEqual([undefined]);
      expect(await rig.store.counts()).toMatchObject({ outbox: 21 });
    });
  });

  describe("labels", () => {
    const find = async (labels: readonly Label[], afterId = "", limit = 9) => {
      const { jobIds, goesOn } = await rig.store.listLabelled({ labels, afterId, limit });
      return goesOn ? [...jobIds, "…"] : jobIds;
    };
    const env = ["env", "test"] as const;
    const team = ["example.com/team", "größe"] as const;

    it("find the jobs that have all of them, in order, a page at a time", async () => {
      const both = Object.fromEntries([env, team]);
      await createRows(
        named(jobC, "", both),
        named(jobA, "", both),
        named(jobB, "", { env: "test" }),
        named(jobD, "", { env: "Test", "example.com/team": "größe" }),
      );
      expect(await find([env])).toEqual([jobA, jobB, jobC]);
      expect(await find([env, team])).toEqual([jobA, jobC]);
      expect(await find([team, env], jobA)).toEqual([jobC]);
      expect(await find([env, team], "", 1)).toEqual([jobA, "…"]);
      expect(await find([env, ["env", "Test"]])).toEqual([]);
      expect(await find([["ENV", "test"]])).toEqual([]);
      expect(await find([])).toEqual([]);
      const page = async (afterId: string, limit: number, maxBytes = 1_000) => {
        const { rows, goesOn, lastId } = await rig.store.listJobs({ afterId, limit, maxBytes, labels: [env] });
        return [idsOf(rows), goesOn, lastId];
      };
      expect(await page("", 2)).toEqual([[jobA, jobB], true, jobB]);
      expect(await page(jobB, 2)).toEqual([[jobC], false, jobC]);
      expect(await page("", 3)).toEqual([[jobA, jobB, jobC], false, jobC]);
      expect(await page("", 3, 0)).toEqual([[jobA], true, jobA]);
    });

    it("are those that a job has by now", async () => {
      await createRows(named(jobA, "", { env: "test" }), named(jobB, "", { env: "test" }));
      const relabel = (labels: Record<string, string>) =>
        change(rig.store, jobA, { job: jobOf(jobA, "n", { labels }) });
      await relabel({ "example.com/team": "größe" });
      expect([await find([env]), await find([team])]).toEqual([[jobB], [jobA]]);
      await relabel({ env: "test", "example.com/team": "größe" });
      await rig.reopen();
      expect([await find([env]), await find([env, team])]).toEqual([[jobA, jobB], [jobA]]);
      await deleteIn(rig.store, jobB);
      await relabel({ env: "test" });
      expect([await find([env]), await find([team])]).toEqual([[jobA], []]);
    });
  });

  it("a deleted job has no key, no labels, and its tombstone still", async () => {
    await createRows(named(jobA, "a", { env: "test" }));
    await deleteIn(rig.store, jobA);
    expect(await rig.store.findStates([jobA])).toMatchObject([{ state: storedState.deleted, generation: 2 }]);
    expect(await rig.store.findJob({ key: "a" })).toBeUndefined();
    expect(await rig.store.listLabelled({ labels: [["env", "test"]], afterId: "", limit: 9 })).toMatchObject({
      jobIds: [],
    });
  });
}
