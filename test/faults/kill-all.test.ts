import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { missing, recordedIds } from "../support/ledger.ts";
import { eventually, restClient } from "../support/rest.ts";
import { type System, startSystem } from "../support/system.ts";
import { startWitness, type Witness } from "../support/witness.ts";

const jobCount = 200;

describe("the whole machine's processes killed at once", () => {
  let system: System;
  let witness: Witness;

  beforeAll(async () => {
    [system, witness] = await Promise.all([startSystem(), startWitness()]);
  });
  afterAll(async () => {
    await system.stop();
    await witness.stop();
  });

  it("lose no occurrence, not those of the outage either, once npm start runs again", async () => {
    const job = { schedule: "* * * * * *", api_endpoint: witness.url, type: "ATLEAST_ONCE" };
    const { body } = await restClient(system.httpUrl).post("/jobs:batchCreate", {
      requests: Array.from({ length: jobCount }, () => ({ job })),
    });
    const jobIds: string[] = body.jobs.map((created: { job_id: string }) => created.job_id);
    const first = Math.floor(Date.parse(body.jobs[0].created_at) / 1000) + 1;
    await witness.until((calls) => calls.some((call) => call.second === first + 2));
    const before = witness.calls.length;

    await system.killAll();
    await system.restart();

    await witness.until((calls) => calls.length > before + 2 * jobCount);
    const to = Math.floor(Date.now() / 1000);
    const arrived = () => new Set(witness.calls.map((call) => call.executionId));
    await eventually(
      async () => missing(jobIds, first, to, arrived()),
      (lost) => lost.length === 0,
    );
    await eventually(
      async () => missing(jobIds, first, to, await recordedIds(system.httpUrl, jobIds)),
      (lost) => lost.length === 0,
    );
    expect(missing(jobIds, first, to, arrived())).toEqual([]);
  });
});
