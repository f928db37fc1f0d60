import { setTimeout as pass } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createDice } from "../../simulation/random.ts";
import { type RestClient, restClient } from "../../support/rest.ts";
import { type System, startSystem } from "../../support/system.ts";
import { startWitness, type Witness } from "../../support/witness.ts";

// How often each is due: several for each second, so that an edit is another timing with the same seconds.
const schedules = [
  ["* * * * * *", 1],
  ["0-59 * * * * *", 1],
  ["*/2 * * * * *", 2],
  ["*/3 * * * * *", 3],
  ["0 0 1 1 *", 31_536_000],
] as const;

const jobsOfEachKind = 20;
const changesOfEach = 13;
// An executor that has not heard of a change for so long stands still.
const heardAfterMs = 2_500;

/** What a job is due by from an instant on, and when its user was told so. */
interface Told {
  fromMs: number;
  answeredMs: number;
  /** Undefined while it is paused or deleted. */
  everySeconds: number | undefined;
}

interface EditedJob {
  jobId: string;
  told: Told[];
}

describe("jobs that are edited, paused and deleted while their ticker is stopped, killed and started again", () => {
  let system: System;
  let witness: Witness;
  let rest: RestClient;
  let edited: EditedJob[] = [];
  let paused: EditedJob[] = [];
  let changes = 0;
  let last = 0;
  const dice = createDice(7);

  const create = async (): Promise<EditedJob> => {
    const [schedule, everySeconds] = schedules[0];
    const { body } = await rest.post("/jobs", { schedule, type: "ATLEAST_ONCE", api_endpoint: witness.url });
    return {
      jobId: body.job_id,
      told: [{ fromMs: Date.parse(body.created_at), answeredMs: Date.now(), everySeconds }],
    };
  };
  const note = (
    { told }: EditedJob,
    answer: { status: number; body: { updated_at: string } },
    everySeconds?: number,
  ) => {
    expect(answer.status).toBe(200);
    changes++;
    told.push({ fromMs: Date.parse(answer.body.updated_at), answeredMs: Date.now(), everySeconds });
  };
  const edit = async (job: EditedJob, among: readonly (typeof schedules)[number][] = schedules) => {
    const before = job.told.at(-1)?.everySeconds;
    const [schedule, everySeconds] = dice.pick(among.filter(([, seconds]) => seconds !== before || seconds === 1));
    note(job, await rest.patch(`/jobs/${job.jobId}`, { schedule }), everySeconds);
  };

  const editAgainAndAgain = async () => {
    const job = await create();
    for (let i = 0; i < changesOfEach; i++) {
      await pass(dice.between(300, 2_500));
      await edit(job);
    }
    await edit(job, schedules.slice(0, 1));
    return job;
  };
  const pauseAgainAndAgain = async () => {
    const job = await create();
    for (let i = 0; i < changesOfEach; i += 2) {
      await pass(dice.between(500, 3_000));
      note(job, await rest.post(`/jobs/${job.jobId}:pause`, {}));
      await pass(dice.between(0, 1_500));
      const { body, ...answer } = await rest.post(`/jobs/${job.jobId}:resume`, {});
      note(job, { ...answer, body }, job.told.at(-2)?.everySeconds);
      if (dice.chance(0.3)) await edit(job, schedules.slice(0, 2));
    }
    if (dice.chance(0.5)) {
      expect((await rest.delete(`/jobs/${job.jobId}`)).status).toBe(200);
      changes++;
      job.told.push({ fromMs: Date.now(), answeredMs: Date.now(), everySeconds: undefined });
    }
    return job;
  };
  /** Until it is told that it is enough. */
  const disturb = async (enough: () => boolean) => {
    while (!enough()) {
      await pass(1_500);
      if (dice.chance(0.35)) {
        const pid = system.pidOf("ticker");
        system.kill("ticker");
        // The launcher has written down another one once it runs.
        while (tickerPid() === pid || tickerPid() === undefined) await pass(20);
        continue;
      }
      system.kill("ticker", "SIGSTOP");
      await pass(dice.between(1_000, 3_500));
      system.kill("ticker", "SIGCONT");
    }
  };
  const tickerPid = () => {
    try {
      return system.pidOf("ticker");
    } catch {
      return undefined;
    }
  };

  beforeAll(async () => {
    [system, witness] = await Promise.all([startSystem(), startWitness()]);
    rest = restClient(system.httpUrl);
    let done = false;
    const disturbing = disturb(() => done);
    const both = [editAgainAndAgain, pauseAgainAndAgain].map((play) =>
      Promise.all(Array.from({ length: jobsOfEachKind }, play)),
    );
    [edited, paused] = (await Promise.all(both)) as [EditedJob[], EditedJob[]];
    done = true;
    await disturbing;
    last = Math.floor(Date.now() / 1000) + 3;
    const running = [...edited, ...paused].filter(({ told }) => told.at(-1)?.everySeconds === 1);
    await witness.until(() => running.every(({ jobId }) => Math.max(...secondsOf(jobId)) >= last));
  }, 180_000);
  afterAll(async () => {
    await system.stop();
    await witness.stop();
  });

  const callsOf = (jobId: string) => witness.calls.filter((call) => call.jobId === jobId);
  const secondsOf = (jobId: string) => callsOf(jobId).map(({ second }) => second);

  /** The seconds that a job is due at from its nth change on, up to the next one. */
  const dueFrom = ({ told }: EditedJob, n: number): number[] => {
    const { fromMs, everySeconds } = told[n] as Told;
    const untilMs = Math.min(told[n + 1]?.fromMs ?? Number.POSITIVE_INFINITY, last * 1000);
    const due: number[] = [];
    if (everySeconds === undefined || everySeconds > 60) return due;
    for (let second = Math.floor(fromMs / 1000) + 1; second * 1000 <= untilMs; second++)
      if (second % everySeconds === 0) due.push(second);
    return due;
  };

  it("are so many", () => {
    expect(changes).toBeGreaterThanOrEqual(500);
  });

  it("are called for each second that they were due at, up to each edit by what was before it, and by the new one behind it", () => {
    for (const job of edited) {
      const called = new Set(secondsOf(job.jobId));
      const owed = job.told.flatMap((_, n) => dueFrom(job, n));
      const missing = owed.filter((second) => !called.has(second));
      expect(missing, `${job.jobId} ${JSON.stringify(job.told)}`).toEqual([]);
    }
  });

  it("are called for each second after they were resumed for the last time", () => {
    for (const job of paused) {
      const lastPause = job.told.findLastIndex(({ everySeconds }) => everySeconds === undefined);
      const called = new Set(secondsOf(job.jobId));
      const owed = job.told.flatMap((_, n) => (n > lastPause ? dueFrom(job, n) : []));
      expect(
        owed.filter((second) => !called.has(second)),
        `${job.jobId} ${JSON.stringify(job.told)}`,
      ).toEqual([]);
    }
  });

  it("are not called for seconds that nobody has asked for since before they came", () => {
    for (const job of [...edited, ...paused]) {
      const unasked = secondsOf(job.jobId).filter((second) => {
        const atMs = second * 1000;
        const known = job.told.findLast(({ answeredMs }) => atMs > answeredMs + heardAfterMs);
        const since = known ? job.told.slice(job.told.indexOf(known)) : job.told;
        return !since.some(({ everySeconds }) => everySeconds !== undefined && second % everySeconds === 0);
      });
      expect(unasked, `${job.jobId} ${JSON.stringify(job.told)}`).toEqual([]);
    }
  });

  it("are not called any more for what was due before a pause or a deletion was answered", () => {
    for (const job of paused) {
      const pauses = job.told.filter(({ everySeconds }) => everySeconds === undefined);
      const late = callsOf(job.jobId).filter(({ second, arrivedAtMs }) =>
        pauses.some(({ fromMs, answeredMs }) => second * 1000 <= fromMs && arrivedAtMs > answeredMs + heardAfterMs),
      );
      expect(
        late.map(({ second }) => second),
        `${job.jobId} ${JSON.stringify(job.told)}`,
      ).toEqual([]);
    }
  });
});
