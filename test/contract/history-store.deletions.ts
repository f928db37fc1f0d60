import { describe, expect, it } from "vitest";
import { ExecutionStatus } from "../../gen/carillon/v1/execution_pb.ts";
import type { Position } from "../../services/domain/identity/position.ts";
import type { JobState } from "../../services/history/store/contract.ts";
import type { AttemptResult } from "../../services/wire/attempt-result.ts";
import { createDice } from "../simulation/random.ts";
import { type HistoryEngine, type StoreSize, useStore } from "../support/history-engine.ts";
import { failed, job, noon, occurrence, otherJob, partsOf, resultOf } from "../support/history-results.ts";
import { jobNamed, jobsNamed } from "../support/job-ids.ts";

const kept = 5;
const hour = 3_600;
const stream = "2026-11-30T12:00:00.123456789Z";
const placesOf = (records: readonly Position[]) => records.map(({ second, run }) => `${second - noon}${run}`);
const newestFirst = (a: Position, b: Position) => b.second - a.second || (a.run < b.run ? 1 : -1);

/** What becomes of the executions of deleted jobs. */
export function deletionsSuite(engine: HistoryEngine, size: StoreSize): void {
  const rig = useStore(engine, size);
  let sequence = 0;

  const note = (...jobs: JobState[]) => rig.store.noteJobs(jobs, { stream, sequence: ++sequence });
  const gone = (jobId: string, second = noon): JobState => ({ jobId, deleted: true, second });
  const stands = (jobId: string): JobState => ({ jobId, deleted: false, second: noon });
  const forgetAll = async (before: number) => {
    for (let forgotten = 0; ; ) {
      const { count, done } = await rig.store.forget(before);
      forgotten += count;
      if (done) return forgotten;
    }
  };
  const fill = async (from: number, to: number, ...jobIds: string[]) => {
    for (let i = from; i < to; i++) {
      await rig.store.record(jobIds.map((jobId) => resultOf({ jobId, second: noon + i, run: i % 4 ? "" : `m${i}` })));
    }
  };
  const listed = async (jobId: string) => placesOf(await rig.store.list(jobId, 1_000));

  describe("of a job that is deleted", () => {
    it("keeps what is young enough, and shows it as before", async () => {
      await fill(0, 30, job, otherJob);
      const before = await rig.store.list(job, 1_000);
      await note(gone(job));
      expect(await rig.store.list(job, 1_000)).toEqual(before);
      expect(await forgetAll(noon)).toBe(0);
      expect(await rig.store.list(job, 1_000)).toEqual(before);
      await forgetAll(noon + 28);
      const left = before.filter(({ second }) => second >= noon + 28);
      expect(await rig.store.list(job, 1_000)).toEqual(left);
      for (const record of left) expect(await rig.store.find(partsOf(record))).toEqual(record);
      await rig.reopen();
      expect(await rig.store.list(job, 1_000)).toEqual(left);
    });

    it("spares nothing, as many as it says, and of others the last 5", async () => {
      await fill(0, 30, job, otherJob);
      await note(gone(job));
      expect(await forgetAll(noon + 1_000)).toBe(30 + 25);
      const check = async () => {
        expect(await listed(job)).toEqual([]);
        expect(await rig.store.find(occurrence(noon + 29))).toBeUndefined();
        expect(await listed(otherJob)).toEqual(["29", "28m28", "27", "26", "25"]);
        expect(await rig.store.extent()).toMatchObject({ rowCount: kept, oldestSecond: noon + 25 });
      };
      await check();
      await rig.reopen();
      await check();
    });

    it("forgets what was spared while it stood", async () => {
      await fill(0, 30, job, otherJob);
      await forgetAll(noon + 1_000);
      await fill(2_000, 2_003, job);
      await note(gone(job));
      expect((await listed(job)).slice(0, kept)).toEqual(["2002", "2001", "2000m2000", "29", "28m28"]);
      expect(await forgetAll(noon + 1_000)).toBeGreaterThanOrEqual(2);
      expect(await listed(job)).toEqual(["2002", "2001", "2000m2000"]);
      await forgetAll(noon + 2_001);
      expect(await listed(job)).toEqual(["2002", "2001"]);
      expect(await listed(otherJob)).toHaveLength(kept);
    });

    it("remembers over a restart that it is", async () => {
      await fill(0, 12, job);
      await note(gone(job));
      await rig.reopen();
      expect(await forgetAll(noon + 1_000)).toBe(12);
      expect((await rig.store.extent()).rowCount).toBe(0);
    });

    it("keeps what waits for a retry until that has ended", async () => {
      const waiting = [failed({ final: false }), failed({ second: noon + 3, run: "mw", final: false })];
      await rig.store.record(waiting);
      await fill(10, 20, job);
      await note(gone(job));
      await forgetAll(noon + 1_000);
      await forgetAll(noon + 3 * hour);
      expect(await listed(job)).toEqual([]);
      for (const result of waiting) {
        expect(await rig.store.find(partsOf(result))).toMatchObject({ status: ExecutionStatus.RETRYING });
      }
      await rig.reopen();
      const ends = waiting.map(({ second, run }) => resultOf({ second, run, attempt: 2 }));
      expect((await rig.store.record(ends)).ended).toHaveLength(2);
      await forgetAll(noon + 6 * hour);
      for (const result of waiting) expect(await rig.store.find(partsOf(result))).toBeUndefined();
      expect((await rig.store.extent()).rowCount).toBe(0);
    });

    it("forgets what comes late, also when there was nothing of the job before", async () => {
      await note(gone(job, noon + 50), gone(otherJob, noon + 50));
      await fill(0, 12, job);
      expect(await forgetAll(noon + 1)).toBe(1);
      await fill(20, 23, otherJob);
      await forgetAll(noon + 40);
      await fill(30, 33, job, otherJob);
      await forgetAll(noon + 45);
      expect([await listed(job), await listed(otherJob)]).toEqual([[], []]);
      expect((await rig.store.extent()).rowCount).toBe(0);
    });

    it("spares the last 5 again once it is known to stand after all, also of what is recorded then", async () => {
      await fill(0, 20, job, otherJob);
      await note(gone(job));
      await forgetAll(noon + 17);
      await note(gone(otherJob), stands(job), stands(otherJob));
      await rig.reopen();
      await forgetAll(noon + 1_000);
      expect(await listed(job)).toEqual(["19", "18", "17"]);
      expect(await listed(otherJob)).toHaveLength(kept);
      // Those that are gone are none of the last 5: older ones that come late take their places.
      await rig.store.record([resultOf({ second: noon + 2 }), resultOf({ second: noon + 3 })]);
      await forgetAll(noon + 1_001);
      expect(await listed(job)).toEqual(["19", "18", "17", "3", "2"]);
      await fill(2_001, 2_004, job);
      await forgetAll(noon + 5_000);
      expect(await listed(job)).toEqual(["2003", "2002", "2001", "19", "18"]);
    });

    it("goes by what was said of it last", async () => {
      await fill(0, 12, job, otherJob);
      await note(gone(job), stands(otherJob), stands(job), gone(otherJob));
      await forgetAll(noon + 1_000);
      expect([await listed(job), await listed(otherJob)]).toEqual([["11", "10", "9", "8m8", "7"], []]);
    });

    it("takes it as new when it comes back long after all of it was forgotten", async () => {
      await fill(0, 12, job);
      await note(gone(job));
      await forgetAll(noon + 3 * hour);
      await forgetAll(noon + 6 * hour);
      await fill(8 * hour, 8 * hour + 7, job);
      await forgetAll(noon + 12 * hour);
      await rig.reopen();
      expect(await listed(job)).toEqual(
        [6, 5, 4, 3, 2].map((i) => `${8 * hour + i}${i % 4 ? "" : `m${8 * hour + i}`}`),
      );
    });
  });

  describe("knows how far it was told", () => {
    it("of the last call, and of none at first", async () => {
      expect(await rig.store.jobsPlace()).toBeUndefined();
      await rig.store.noteJobs([gone(job)], { stream, sequence: 7 });
      expect(await rig.store.jobsPlace()).toEqual({ stream, sequence: 7 });
      await rig.reopen();
      expect(await rig.store.jobsPlace()).toEqual({ stream, sequence: 7 });
      await rig.store.noteJobs([], { stream: "another", sequence: 2 });
      expect(await rig.store.jobsPlace()).toEqual({ stream: "another", sequence: 2 });
    });

    it("with all of a call or nothing of it", async () => {
      const third = jobNamed("third");
      await fill(0, 12, job, otherJob);
      await rig.store.noteJobs([], { stream, sequence: 7 });
      const broken = Object.defineProperty(gone(otherJob), "second", {
        get: () => {
          throw new Error("the store fails where it takes this up");
        },
      });
      await expect(rig.store.noteJobs([gone(job), gone(third), broken], { stream, sequence: 8 })).rejects.toThrow();
      expect(await rig.store.jobsPlace()).toEqual({ stream, sequence: 7 });
      await fill(0, 12, third);
      await forgetAll(noon + 1_000);
      await rig.reopen();
      expect(await listed(job)).toHaveLength(kept);
      expect(await listed(third)).toHaveLength(kept);
      await rig.store.noteJobs([gone(job)], { stream, sequence: 8 });
      await forgetAll(noon + 1_001);
      expect(await listed(job)).toEqual([]);
    });
  });

  it.each(
    Array.from({ length: 12 }, (_, seed) => seed),
  )("keeps what it owes and nothing for good, whatever is deleted, recorded and forgotten between (seed %i)", async (seed) => {
    const dice = createDice(seed);
    const jobs = jobsNamed("d", dice.between(2, 12));
    const deleted = new Set<string>();
    /** They were deleted at some time: what was forgotten meanwhile is not among their last 5. */
    const everDeleted = new Set<string>();
    const sent = new Map<string, AttemptResult>();
    let swept = 0;
    let clock = 0;
    for (let round = 0; round < 60; round++) {
      const waiting = [...sent.values()].filter(({ final }) => !final && dice.chance(0.05));
      const batch = waiting.map(({ jobId, second, run }) => resultOf({ jobId, second, run, attempt: 2 }));
      for (let i = dice.between(1, 8); i > 0; i--) {
        clock++;
        const late = dice.chance(0.1);
        const place = {
          jobId: dice.pick(jobs),
          second: noon + (late ? dice.between(0, clock) : clock),
          run: late || dice.chance(0.2) ? `m${clock}` : "",
        };
        batch.push(dice.chance(0.2) ? failed({ ...place, final: false }) : resultOf(place));
      }
      for (const result of batch) sent.set(nameOf(result), result);
      await rig.store.record(batch);
      if (dice.chance(0.3)) {
        const jobId = dice.pick(jobs);
        const restored = deleted.has(jobId) && dice.chance(0.3);
        if (restored) deleted.delete(jobId);
        else deleted.add(jobId);
        everDeleted.add(jobId);
        await note(restored ? stands(jobId) : gone(jobId, noon + clock));
      }
      if (dice.chance(0.3)) {
        swept = Math.max(swept, noon + clock - dice.between(0, 40));
        await forgetAll(swept);
      }
      if (dice.chance(0.1)) await rig.reopen();
    }
    const check = async () => {
      let there = 0;
      for (const jobId of jobs) {
        const records = await rig.store.list(jobId, 1_000);
        const all = [...sent.values()].filter((result) => result.jobId === jobId);
        const ended = all.filter(({ final }) => final).toSorted(newestFirst);
        const spared = everDeleted.has(jobId) ? 0 : kept;
        const owed = ended.filter(({ second }, place) => place < spared || second >= swept);
        expect(placesOf(records)).toEqual(expect.arrayContaining(placesOf(owed)));
        expect(placesOf(ended)).toEqual(expect.arrayContaining(placesOf(records)));
        expect(placesOf(records)).toEqual(placesOf(records.toSorted(newestFirst)));
        for (const result of all.filter(({ final }) => !final)) {
          expect(await rig.store.find(partsOf(result))).toMatchObject({ status: ExecutionStatus.RETRYING });
          there++;
        }
        there += records.length;
      }
      expect((await rig.store.extent()).rowCount).toBe(there);
    };
    await check();
    swept = noon + hour;
    await forgetAll(swept);
    await check();
    for (const jobId of deleted) expect(await listed(jobId)).toEqual([]);
    const ends = [...sent.values()].filter(({ final }) => !final);
    for (const { jobId, second, run } of ends) await rig.store.record([resultOf({ jobId, second, run, attempt: 2 })]);
    await note(...jobs.map((jobId) => gone(jobId)));
    await forgetAll(noon + 3 * hour);
    await forgetAll(noon + 6 * hour);
    expect(await rig.store.extent()).toMatchObject({ rowCount: 0, oldestSecond: undefined });
  });
}

function nameOf({ jobId, second, run }: Pick<AttemptResult, "jobId" | "second" | "run">): string {
  return `${jobId} ${second} ${run}`;
}
