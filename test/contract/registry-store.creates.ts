import { describe, expect, it } from "vitest";
import { lanes } from "../../services/registry/store/contract.ts";
import { type RegistryEngine, useStore } from "../support/registry-engine.ts";
import {
  callOf,
  createIn,
  creationOf,
  idOf,
  idsOf,
  jobA,
  jobB,
  jobC,
  jobD,
  keptAll,
  listAll,
  takeAll,
} from "../support/registry-store-rows.ts";

/** Jobs that are created, and the request ids that they come with. */
export function createsSuite(engine: RegistryEngine): void {
  const rig = useStore(engine);

  describe("creating", () => {
    it("writes all of a batch or none, jobs and outbox alike", async () => {
      await createIn(rig.store, jobD);
      await expect(createIn(rig.store, jobA, jobD, jobB)).rejects.toThrow();
      expect(idsOf(await listAll(rig.store))).toEqual([jobD]);
      expect(idsOf(await takeAll(rig.store))).toEqual([jobD]);
    });

    it("answers a known request id as before, and creates the others of its batch", async () => {
      await rig.store.createJobs([creationOf(jobA, callOf("one", "x", "first"))], keptAll);
      const again = [
        creationOf(jobB),
        creationOf(jobC, callOf("one", "x", "second")),
        creationOf(jobD, callOf("two", "y")),
      ];
      const earlier = new Map([[1, Buffer.from("first")]]);
      expect(await rig.store.createJobs(again, keptAll)).toEqual({ kind: "created", earlier });
      expect(idsOf(await listAll(rig.store))).toEqual([jobA, jobB, jobD]);
      expect(idsOf(await takeAll(rig.store))).toEqual([jobA, jobB, jobD]);
      expect(await (await rig.reopen()).findAnswers(["two", "none", "one"], 0)).toMatchObject([
        { answer: Buffer.from("answer to y"), fingerprint: Buffer.from("y") },
        undefined,
        { answer: Buffer.from("first") },
      ]);
    });

    it("makes one job of a request id that stands in a batch twice", async () => {
      const twice = [jobA, jobB, jobC].map((jobId) => creationOf(jobId, callOf("same", "x", jobId)));
      const earlier = new Map([1, 2].map((index) => [index, Buffer.from(jobA)]));
      expect(await rig.store.createJobs(twice, keptAll)).toEqual({ kind: "created", earlier });
      expect(idsOf(await listAll(rig.store))).toEqual([jobA]);
    });

    it("refuses a batch for a request id with other contents, used before or in the batch, and writes none of it", async () => {
      await rig.store.createJobs([creationOf(jobA, callOf("used", "x"))], keptAll);
      const before = [creationOf(jobB, callOf("new", "x")), creationOf(jobC, callOf("used", "y"))];
      expect(await rig.store.createJobs(before, keptAll)).toEqual({ kind: "reused", index: 1 });
      const within = [creationOf(jobB), creationOf(jobC, callOf("new", "x")), creationOf(jobD, callOf("new", "y"))];
      expect(await rig.store.createJobs(within, keptAll)).toEqual({ kind: "reused", index: 2 });
      expect(idsOf(await listAll(rig.store))).toEqual([jobA]);
      expect(await rig.store.findAnswers(["new"], 0)).toEqual([undefined]);
      expect(await rig.store.counts()).toMatchObject({ outbox: 1 });
    });

    it("makes one job of calls with one request id that come together", async () => {
      const calls = Array.from({ length: 30 }, (_, number) =>
        rig.store.createJobs([creationOf(idOf(number), callOf("together", "x", idOf(number)))], keptAll),
      );
      const outcomes = await Promise.all(calls);
      const [created] = await listAll(rig.store);
      const answers = outcomes.map((outcome) => (outcome.kind === "created" ? outcome.earlier.get(0) : undefined));
      expect(answers.filter((answer) => answer === undefined)).toHaveLength(1);
      expect(new Set(answers.filter(Boolean).map(String))).toEqual(new Set([created?.jobId]));
      expect(await rig.store.counts()).toEqual({ active: 1, paused: 0, outbox: 1 });
    });

    it("makes one job of each request id of two batches that have them in opposite order", async () => {
      const rounds = 10;
      const namesOf = (round: number) => Array.from({ length: 20 }, (_, index) => `${round}/${index}`);
      for (let round = 0; round < rounds; round++) {
        const names = namesOf(round);
        const batch = (ordered: readonly string[], firstId: number) => {
          const ids = ordered.map((_, index) => idOf(firstId + index));
          const creations = ids.map((id, index) => creationOf(id, callOf(ordered[index] ?? "", "x", id)));
          return { ids, ordered, created: rig.store.createJobs(creations, keptAll) };
        };
        const batches = [batch(names, round * 100), batch(names.toReversed(), round * 100 + 50)];
        const answers = await Promise.all(
          batches.map(async ({ ids, ordered, created }) => {
            const outcome = await created;
            if (outcome.kind !== "created") throw new Error(outcome.kind);
            const answerOf = (index: number) => String(outcome.earlier.get(index) ?? ids[index]);
            return new Map(ordered.map((name, index) => [name, answerOf(index)]));
          }),
        );
        expect(names.map((name) => answers[0]?.get(name))).toEqual(names.map((name) => answers[1]?.get(name)));
      }
      expect(await rig.store.counts()).toEqual({ active: rounds * 20, paused: 0, outbox: rounds * 20 });
    });

    it("forgets a request id from before the instant that it is asked with, and remembers its next use", async () => {
      await rig.store.createJobs([creationOf(jobA, callOf("id", "x", "old", 1_000))], keptAll);
      expect(await rig.store.findAnswers(["id"], 1_000)).toMatchObject([{ answer: Buffer.from("old") }]);
      expect(await rig.store.findAnswers(["id"], 1_001)).toEqual([undefined]);
      const next = [creationOf(jobB, callOf("id", "y", "new", 2_000))];
      await rig.store.createJobs(next, { lane: lanes.create, sinceMs: 1_001 });
      expect(await rig.store.findAnswers(["id"], 0)).toMatchObject([{ answer: Buffer.from("new") }]);
      expect(idsOf(await listAll(rig.store))).toEqual([jobA, jobB]);
    });

    it("forgets what is too old by as many as it is told at a time", async () => {
      const ids = Array.from({ length: 10 }, (_, number) => idOf(number));
      const creations = ids.map((id, number) => creationOf(id, callOf(id, id, id, number * 10)));
      await rig.store.createJobs(creations, keptAll);
      expect(await rig.store.expireRequests(70, 4)).toBe(4);
      expect(await rig.store.expireRequests(70, 4)).toBe(3);
      expect(await rig.store.expireRequests(70, 4)).toBe(0);
      const left = await rig.store.findAnswers(ids, 0);
      expect(left.map((answer) => answer !== undefined)).toEqual([...Array(7).fill(false), true, true, true]);
    });
  });
}
