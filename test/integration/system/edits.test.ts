import { setTimeout as pass } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createDice } from "../../simulation/random.ts";
import { type RestClient, restClient } from "../../support/rest.ts";
import { type System, startSystem } from "../../support/system.ts";
import { startWitness, type Witness } from "../../support/witness.ts";

// Each is another timing, and due each second.
const schedules = ["* * * * * *", "*/1 * * * * *", "0-59 * * * * *"];
const jobs = 20;
const editsOfEach = 15;

describe("a job whose schedule changes again and again", () => {
  let system: System;
  let witness: Witness;
  let rest: RestClient;

  beforeAll(async () => {
    [system, witness] = await Promise.all([startSystem(), startWitness()]);
    rest = restClient(system.httpUrl);
  });
  afterAll(async () => {
    await system.stop();
    await witness.stop();
  });

  const secondsOf = (jobId: string) => witness.calls.filter((call) => call.jobId === jobId).map(({ second }) => second);

  it("is called for each second that both the old timing and the new one have, at whatever instant it changes", async () => {
    const dice = createDice(1);
    const edit = async (n: number) => {
      const created = await rest.post("/jobs", {
        schedule: schedules[0],
        type: "ATLEAST_ONCE",
        api_endpoint: witness.url,
      });
      const jobId: string = created.body.job_id;
      for (let i = 1; i <= editsOfEach; i++) {
        await pass(dice.between(100, 900));
        const changed = await rest.patch(`/jobs/${jobId}`, { schedule: schedules[(n + i) % schedules.length] });
        expect(changed.status).toBe(200);
      }
      return { jobId, first: Math.floor(Date.parse(created.body.created_at) / 1000) + 1 };
    };
    const edited = await Promise.all(Array.from({ length: jobs }, (_, n) => edit(n)));
    const last = Math.floor(Date.now() / 1000) + 2;
    await witness.until(() => edited.every(({ jobId }) => Math.max(...secondsOf(jobId)) >= last));
    for (const { jobId, first } of edited) {
      const seconds = new Set(secondsOf(jobId));
      const owed = Array.from({ length: last - first + 1 }, (_, i) => first + i);
      expect(
        owed.filter((second) => !seconds.has(second)),
        jobId,
      ).toEqual([]);
    }
  });
});
