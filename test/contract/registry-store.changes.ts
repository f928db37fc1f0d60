import { describe, expect, it } from "vitest";
import { manualExecutionId } from "../../services/domain/identity/execution-id.ts";
import { type EndingPlace, lanes, storedState } from "../../services/registry/store/contract.ts";
import { type RegistryEngine, useStore } from "../support/registry-engine.ts";
import {
  callOf,
  change,
  createIn,
  deleteIn,
  idOf,
  idsOf,
  jobA,
  jobB,
  jobE,
  jobOf,
  keptAll,
  listAll,
  rowOf,
  runOf,
  takeAll,
} from "../support/registry-store-rows.ts";

/** What is decided over one row: changes of a job, and manual runs of it. */
export function changesSuite(engine: RegistryEngine): void {
  const rig = useStore(engine);

  describe("changing", () => {
    it("decides on what the change before it left, however many come at once", async () => {
      const ids = Array.from({ length: 20 }, (_, number) => idOf(number));
      await createIn(rig.store, ...ids);
      const calls = Array.from({ length: 400 }, (_, call) => change(rig.store, ids[call % ids.length] ?? ""));
      const generations = await Promise.all(calls);
      for (const [number, id] of ids.entries()) {
        const own = generations.filter((_, call) => call % ids.length === number);
        expect(own.toSorted((a, b) => Number(a) - Number(b))).toEqual(Array.from({ length: 20 }, (_, n) => n + 2));
        expect((await rig.store.findJob(id))?.generation).toBe(21);
      }
      expect(await rig.store.counts()).toMatchObject({ outbox: 20 + 400 });
    });

    it("lets one of those win that rely on the same generation", async () => {
      await createIn(rig.store, jobA);
      const calls = Array.from({ length: 20 }, (_, call) =>
        rig.store.changeJob<number | "too late">(jobA, (row) =>
          row.generation === 1
            ? { next: { ...row, generation: 2, job: jobOf(jobA, String(call)) }, answer: call }
            : { answer: "too late" },
        ),
      );
      const [winner, ...others] = (await Promise.all(calls)).filter((answer) => answer !== "too late");
      expect(others).toEqual([]);
      expect((await rig.store.findJob(jobA))?.job).toEqual(jobOf(jobA, String(winner)));
      expect(await rig.store.counts()).toMatchObject({ outbox: 2 });
    });

    it("keeps each field of a row", async () => {
      const earlier = {
        timingGeneration: 1,
        schedule: "größe",
        timeZone: "UTC",
        startSecond: 0,
        endSecond: undefined,
        effectiveFromMs: 1,
        untilMs: 2,
        timingSequence: 3,
        timingEdition: 4,
      };
      const row = rowOf(jobA, { earlier: [earlier, earlier], pausedGeneration: 1, lastSecond: 0 });
      await rig.store.createJobs([{ row, request: undefined }], keptAll);
      expect(await rig.store.findJob(jobA)).toEqual(row);
      const next = { ...rowOf(jobA), generation: 7, timingGeneration: 6, timingSequence: 5, timingEdition: 4 };
      const changed = { ...next, earlier: [earlier], pausedGeneration: 6, ended: true };
      await rig.store.changeJob(jobA, () => ({ next: changed, answer: 0 }));
      expect((await rig.store.findStates([jobA]))[0]).toEqual(changed);
      expect((await listAll(rig.store))[0]).toEqual(changed);
    });

    it("lists active jobs by their last second, and ends each once, with an outbox entry, unless its timing has changed", async () => {
      const rows = [
        rowOf(jobA, { lastSecond: 20 }),
        rowOf(jobB, { lastSecond: 10 }),
        rowOf(idOf(1), { lastSecond: 20 }),
        rowOf(idOf(2), { lastSecond: 30 }),
        rowOf(idOf(3)),
        rowOf(idOf(4), { lastSecond: 5, state: storedState.paused }),
        rowOf(idOf(5), { lastSecond: 5, ended: true }),
      ];
      await rig.store.createJobs(
        rows.map((row) => ({ row, request: undefined })),
        keptAll,
      );
      const list = async (after: EndingPlace | undefined, limit = 9) =>
        idsOf(await rig.store.listEnding({ beforeSecond: 30, after, limit }));
      expect(await list(undefined)).toEqual([jobB, jobA, idOf(1)]);
      expect(await list(undefined, 2)).toEqual([jobB, jobA]);
      expect(await list({ lastSecond: 20, jobId: jobA })).toEqual([idOf(1)]);
      await takeAll(rig.store);
      const ending = [jobA, jobA, jobB, idOf(4), idOf(5), idOf(9)].map((jobId) => ({ jobId, timingGeneration: 1 }));
      expect(await rig.store.endJobs([...ending, { jobId: idOf(1), timingGeneration: 2 }])).toBe(2);
      expect(await list(undefined)).toEqual([idOf(1)]);
      expect(await rig.store.findJob(jobA)).toEqual({ ...rows[0], ended: true });
      const entries = await takeAll(rig.store);
      expect(entries.map(({ jobId, key }) => [jobId, key.lane])).toEqual([
        [jobA, lanes.batchCreate],
        [jobB, lanes.batchCreate],
      ]);
    });

    it("writes nothing without a next row, and nothing when the decision throws, which is told to its caller alone", async () => {
      await createIn(rig.store, jobA, jobB);
      const failing = rig.store.changeJob(jobA, () => {
        throw new Error("undecided");
      });
      const calls = [
        change(rig.store, jobB),
        failing,
        rig.store.changeJob(jobA, ({ generation }) => ({ answer: generation })),
        change(rig.store, jobB),
      ];
      const outcomes = await Promise.allSettled(calls);
      expect(outcomes.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled", "fulfilled"]);
      await expect(failing).rejects.toThrow("undecided");
      expect(await rig.store.findJob(jobA)).toEqual(rowOf(jobA));
      expect((await rig.store.findJob(jobB))?.generation).toBe(3);
      expect(await rig.store.counts()).toMatchObject({ outbox: 4 });
    });
  });

  describe("a manual run", () => {
    const asked = (requestId: string, contents: string, answer: string) => ({
      call: callOf(requestId, contents, answer),
      sinceMs: 0,
    });

    it("goes into the outbox with what was made of the job's row", async () => {
      await createIn(rig.store, jobA);
      const outcome = await rig.store.addRun(jobA, ({ job }) => ({
        executionId: manualExecutionId(jobA, "1"),
        payload: job,
      }));
      expect(outcome).toEqual({ kind: "added" });
      const [entry] = await (await rig.reopen()).takeOutbox([lanes.change], 10);
      expect(entry).toMatchObject({
        jobId: jobA,
        run: { executionId: manualExecutionId(jobA, "1"), payload: rowOf(jobA).job },
      });
      expect(await rig.store.addRun(jobE, runOf(jobE, "1"))).toEqual({ kind: "no job" });
    });

    it("is made once for a request id, which is answered also when the job is gone", async () => {
      await createIn(rig.store, jobA, jobB);
      expect(await rig.store.addRun(jobA, runOf(jobA, "1"), asked("id", jobA, "one"))).toEqual({ kind: "added" });
      await deleteIn(rig.store, jobA);
      const earlier = { kind: "earlier", answer: Buffer.from("one") };
      expect(await rig.store.addRun(jobA, runOf(jobA, "2"), asked("id", jobA, "two"))).toEqual(earlier);
      expect(await rig.store.addRun(jobB, runOf(jobB, "3"), asked("id", jobB, "three"))).toEqual({ kind: "reused" });
      // Ids of creates are others.
      expect(await rig.store.findAnswers(["id"], 0)).toEqual([undefined]);
      expect((await takeAll(rig.store)).filter((entry) => entry.run).map((entry) => entry.run?.executionId)).toEqual([
        manualExecutionId(jobA, "1"),
      ]);
    });

    it("is not remembered when it could not be made", async () => {
      await createIn(rig.store, jobA);
      const fail = () => {
        throw new Error("no run of this");
      };
      await expect(rig.store.addRun(jobA, fail, asked("id", jobA, "one"))).rejects.toThrow("no run of this");
      expect(await rig.store.addRun(jobB, runOf(jobB, "1"), asked("other", jobB, "one"))).toEqual({ kind: "no job" });
      expect(await rig.store.addRun(jobA, runOf(jobA, "2"), asked("id", jobA, "two"))).toEqual({ kind: "added" });
      await createIn(rig.store, jobB);
      expect(await rig.store.addRun(jobB, runOf(jobB, "3"), asked("other", jobB, "three"))).toEqual({ kind: "added" });
    });

    it("is made once of calls with one request id that come together, also for several jobs", async () => {
      await createIn(rig.store, jobA, jobB);
      const calls = Array.from({ length: 30 }, (_, number) => {
        const jobId = number % 3 === 0 ? jobB : jobA;
        return rig.store.addRun(jobId, runOf(jobId, `${number}`), asked("together", jobId, `answer ${number}`));
      });
      const outcomes = await Promise.all(calls);
      const made = outcomes.findIndex(({ kind }) => kind === "added");
      const same = { kind: "earlier", answer: Buffer.from(`answer ${made}`) };
      const other = { kind: "reused" };
      expect(outcomes).toEqual(
        outcomes.map((_, number) => {
          if (number === made) return { kind: "added" };
          return (number % 3 === 0) === (made % 3 === 0) ? same : other;
        }),
      );
      const runs = (await takeAll(rig.store)).flatMap(({ run }) => run ?? []);
      expect(runs).toEqual([runOf(made % 3 === 0 ? jobB : jobA, `${made}`)()]);
    });
  });
}
