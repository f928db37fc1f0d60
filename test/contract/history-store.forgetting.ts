import { describe, expect, it } from "vitest";
import { ExecutionStatus, ExecutionTrigger } from "../../gen/carillon/v1/execution_pb.ts";
import type { Position } from "../../services/domain/identity/position.ts";
import type { ExecutionRecord } from "../../services/history/records/execution-record.ts";
import type { AttemptResult } from "../../services/wire/attempt-result.ts";
import { createDice } from "../simulation/random.ts";
import { type HistoryEngine, type StoreSize, useStore } from "../support/history-engine.ts";
import { failed, job, manualRun, noon, occurrence, otherJob, partsOf, resultOf } from "../support/history-results.ts";
import { jobNamed, jobsNamed } from "../support/job-ids.ts";

const manual = { trigger: ExecutionTrigger.MANUAL };
const kept = 5;
/** Executions of the same second as the last of them. */
const tiesAtMost = 3;
const placesOf = (records: readonly Position[]) => records.map(({ second, run }) => `${second - noon}${run}`);
const newestFirst = (a: Position, b: Position) => b.second - a.second || (a.run < b.run ? 1 : -1);

/** What is forgotten, and what never is. */
export function forgettingSuite(engine: HistoryEngine, size: StoreSize): void {
  const rig = useStore(engine, size);

  const forgetAll = async (before: number) => {
    for (let forgotten = 0; ; ) {
      const { count, done } = await rig.store.forget(before);
      forgotten += count;
      if (done) return forgotten;
    }
  };
  const listAll = async (jobId: string, pageSize: number) => {
    const all: ExecutionRecord[] = [];
    for (let page = await rig.store.list(jobId, pageSize); page.length > 0; ) {
      all.push(...page);
      page = await rig.store.list(jobId, pageSize, page.at(-1));
    }
    return all;
  };
  const everything = Array.from({ length: 45 }, (_, i) => resultOf({ second: noon + i, run: i % 5 ? "" : `m${i}` }));

  describe("forgets", () => {
    it("what is older, as many as it says, and nothing else", async () => {
      for (const result of everything) await rig.store.record([result, { ...result, jobId: otherJob }]);
      const forgotten = await forgetAll(noon + 32);
      expect(forgotten).toBeGreaterThan(0);
      expect(await forgetAll(noon + 32)).toBe(0);
      const check = async () => {
        const names = everything.map(partsOf);
        const recorded = await rig.store.findRecorded(names);
        const left = everything.filter((_, i) => recorded[i]);
        expect(2 * (everything.length - left.length)).toBe(forgotten);
        expect(recorded.slice(32)).not.toContain(false);
        for (const jobId of [job, otherJob]) {
          expect(placesOf(await rig.store.list(jobId, 100))).toEqual(placesOf(left).reverse());
        }
        for (const [i, name] of names.entries()) {
          expect((await rig.store.find(name)) !== undefined).toBe(recorded[i]);
        }
        expect(await rig.store.extent()).toMatchObject({ rowCount: 2 * left.length, oldestSecond: left[0]?.second });
      };
      await check();
      await rig.reopen();
      await check();
    });

    it("so that a result that comes after that begins a new record", async () => {
      for (const result of everything) await rig.store.record([result]);
      await forgetAll(noon + 30);
      const recorded = await rig.store.findRecorded(everything.map(partsOf));
      const again = await rig.store.record(everything);
      expect(again.news).toBe(recorded.filter((it) => !it).length);
      expect(placesOf(await rig.store.list(job, 100))).toEqual(placesOf(everything).reverse());
      for (const result of everything) expect(await rig.store.find(partsOf(result))).toMatchObject({ attempts: [{}] });
    });

    it("what comes late for a second that was forgotten, when it is none of the last 5", async () => {
      for (let i = 0; i < 20; i++) await rig.store.record([resultOf({ second: noon + i })]);
      await forgetAll(noon + 1_000);
      const offsets = [2_000, 2_001, 2_002, 2_003, 2_004, 2_005, 3, -50, 2_006];
      await rig.store.record(offsets.map((offset) => resultOf({ second: noon + offset })));
      await forgetAll(noon + 10_000);
      expect(placesOf(await rig.store.list(job, 100))).toEqual(["2006", "2005", "2004", "2003", "2002"]);
      expect(await rig.store.extent()).toMatchObject({ rowCount: 5, oldestSecond: noon + 2_002 });
      expect(await rig.store.find(occurrence(noon + 3))).toBeUndefined();
    });

    it("nothing where nothing is older", async () => {
      expect(await forgetAll(noon)).toBe(0);
      for (let i = 0; i < 25; i++) await rig.store.record([resultOf({ second: noon + i })]);
      expect(await forgetAll(noon)).toBe(0);
      expect(await rig.store.list(job, 100)).toHaveLength(25);
    });
  });

  describe("never forgets", () => {
    it("the last 5 of a job, however old, until there are newer ones", async () => {
      for (let i = 0; i < 12; i++) await rig.store.record([resultOf({ second: noon + i })]);
      expect(await forgetAll(noon + 1_000)).toBe(7);
      expect(placesOf(await rig.store.list(job, 100))).toEqual(["11", "10", "9", "8", "7"]);
      for (let i = 500; i < 503; i++) await rig.store.record([resultOf({ second: noon + i })]);
      expect(await forgetAll(noon + 1_000)).toBe(3);
      expect(placesOf(await rig.store.list(job, 100))).toEqual(["502", "501", "500", "11", "10"]);
      expect(placesOf(await rig.store.list(job, 2, { second: noon + 500, run: "" }))).toEqual(["11", "10"]);
      await rig.reopen();
      expect(placesOf(await rig.store.list(job, 100))).toEqual(["502", "501", "500", "11", "10"]);
    });

    it("what waits for a retry, which makes it none of the last 5 before it has ended", async () => {
      const waiting = [failed({ final: false }), failed({ second: noon + 3, run: "mw", final: false, ...manual })];
      await rig.store.record(waiting);
      for (let i = 10; i < 20; i++) await rig.store.record([resultOf({ second: noon + i })]);
      for (let i = 20; i < 24; i++) await rig.store.record([failed({ second: noon + i, final: false })]);
      expect(await forgetAll(noon + 1_000)).toBe(5);
      expect(placesOf(await rig.store.list(job, 100))).toEqual(["19", "18", "17", "16", "15"]);
      for (const result of waiting) {
        expect(await rig.store.find(partsOf(result))).toMatchObject({ status: ExecutionStatus.RETRYING });
      }
      const { ended } = await rig.store.record([resultOf({ second: noon + 22, attempt: 2 })]);
      expect(ended).toMatchObject([{ attempts: [{ attempt: 1 }, { attempt: 2 }] }]);
      await forgetAll(noon + 1_000);
      expect(placesOf(await rig.store.list(job, 100))).toEqual(["22", "19", "18", "17", "16"]);
      await rig.store.record([resultOf({ second: noon + 3, run: "mw", attempt: 2, ...manual })]);
      await forgetAll(noon + 1_000);
      expect(placesOf(await rig.store.list(job, 100))).toEqual(["22", "19", "18", "17", "16"]);
      expect(await rig.store.find(manualRun("mw"))).toBeUndefined();
      expect(await rig.store.find(occurrence())).toMatchObject({ status: ExecutionStatus.RETRYING });
    });

    it("the only ones of jobs that ran once, while one that runs often is forgotten", async () => {
      const rare = jobsNamed("r", 30);
      for (const [i, jobId] of rare.entries()) {
        await rig.store.record([resultOf({ jobId, second: noon + i }), resultOf({ second: noon + i })]);
      }
      expect(await forgetAll(noon + 1_000)).toBe(25);
      for (const [i, jobId] of rare.entries()) {
        expect(placesOf(await rig.store.list(jobId, 5))).toEqual([`${i}`]);
      }
    });
  });

  it("pages on across what was forgotten meanwhile", async () => {
    for (let i = 0; i < 40; i++) await rig.store.record([resultOf({ second: noon + i })]);
    const page = await rig.store.list(job, 3, { second: noon + 30, run: "" });
    expect(placesOf(page)).toEqual(["29", "28", "27"]);
    await forgetAll(noon + 20);
    // Then come those that were among the last 5 of a while ago, where an engine still has them.
    const next = placesOf(await rig.store.list(job, 30, page.at(-1)));
    expect(next.slice(0, 7)).toEqual(["26", "25", "24", "23", "22", "21", "20"]);
    expect(next.length).toBeLessThanOrEqual(7 + kept);
    await forgetAll(noon + 1_000);
    expect(await rig.store.list(job, 10, page.at(-1))).toEqual([]);
    expect(placesOf(await rig.store.list(job, 10))).toEqual(["39", "38", "37", "36", "35"]);
  });

  it.each(
    Array.from({ length: 12 }, (_, seed) => seed),
  )("keeps what it owes, whatever is recorded, forgotten and reopened between (seed %i)", async (seed) => {
    const dice = createDice(seed);
    const jobs = jobsNamed("m", dice.between(2, 12));
    const steady = jobNamed("steady");
    /** The last result of each execution; each has one place, and one result or two. */
    const sent = new Map<string, AttemptResult>();
    let swept = 0;
    let clock = 0;
    const made = (): AttemptResult => {
      clock++;
      const second = noon + (dice.chance(0.1) ? dice.between(0, clock) : clock + dice.between(0, 4));
      const place = {
        jobId: dice.chance(0.5) ? steady : dice.pick(jobs),
        second,
        run: dice.chance(0.2) ? `m${clock}` : "",
      };
      if (sent.has(nameOf(place))) return made();
      return dice.chance(0.2) ? failed({ ...place, final: false }) : resultOf(place);
    };
    for (let round = 0; round < 60; round++) {
      const waiting = [...sent.values()].filter(({ final }) => !final && dice.chance(0.05));
      const retries = waiting.map(({ jobId, second, run }) => resultOf({ jobId, second, run, attempt: 2 }));
      const batch = [...retries];
      for (let i = dice.between(1, 8); i > 0; i--) {
        const result = made();
        batch.push(result);
        sent.set(nameOf(result), result);
      }
      for (const result of retries) sent.set(nameOf(result), result);
      await rig.store.record(batch);
      if (dice.chance(0.3)) {
        swept = Math.max(swept, noon + clock - dice.between(0, 40));
        await forgetAll(swept);
      }
      if (dice.chance(0.1)) await rig.reopen();
    }
    for (const jobId of [...jobs, steady]) {
      const listed = await listAll(jobId, dice.between(1, 6));
      expect(placesOf(listed)).toEqual(placesOf(listed.toSorted(newestFirst)));
      expect(new Set(placesOf(listed)).size).toBe(listed.length);
      expect(placesOf(await rig.store.list(jobId, 1_000))).toEqual(placesOf(listed));
      const results = [...sent.values()].filter((result) => result.jobId === jobId);
      const ended = results.filter(({ final }) => final).toSorted(newestFirst);
      const owed = ended.filter(({ second }, place) => place < kept || second >= swept);
      expect(placesOf(listed)).toEqual(expect.arrayContaining(placesOf(owed)));
      expect(placesOf(ended)).toEqual(expect.arrayContaining(placesOf(listed)));
      for (const result of results.filter(({ final }) => !final)) {
        expect(await rig.store.find(partsOf(result))).toMatchObject({ status: ExecutionStatus.RETRYING });
      }
    }
    await forgetAll(swept);
    const { rowCount } = await rig.store.extent();
    let there = 0;
    for (const result of sent.values()) if (await rig.store.find(partsOf(result))) there++;
    expect(rowCount).toBe(there);
    await forgetAll(noon + 10_000);
    for (const jobId of jobs) expect((await rig.store.list(jobId, 100)).length).toBeLessThanOrEqual(kept + tiesAtMost);
  });
}

function nameOf({ jobId, second, run }: Pick<AttemptResult, "jobId" | "second" | "run">): string {
  return `${jobId} ${second} ${run}`;
}
