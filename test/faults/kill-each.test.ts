import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { missing, recordedIds } from "../support/ledger.ts";
import { eventually, restClient } from "../support/rest.ts";
import { type System, startSystem } from "../support/system.ts";
import { startWitness, type Witness } from "../support/witness.ts";

const jobCount = 200;
const victims = ["registry", "ticker", "executor", "history", "nats-server"] as const;

describe("under 200 executions a second", () => {
  let system: System;
  let witness: Witness;
  let jobIds: string[];
  let firstSecond = 0;

  beforeAll(async () => {
    [system, witness] = await Promise.all([startSystem(), startWitness()]);
    const job = { schedule: "* * * * * *", api_endpoint: witness.url, type: "ATLEAST_ONCE" };
    const { body } = await restClient(system.httpUrl).post("/jobs:batchCreate", {
      requests: Array.from({ length: jobCount }, () => ({ job })),
    });
    jobIds = body.jobs.map((created: { job_id: string }) => created.job_id);
    firstSecond = Math.floor(Date.parse(body.jobs[0].created_at) / 1000) + 1;
    await fired(firstSecond + 1);
  });
  afterAll(async () => {
    await system.stop();
    await witness.stop();
  });

  const arrived = () => new Set(witness.calls.map((call) => call.executionId));
  /** Resolves when each job's occurrence of the second has arrived. */
  const fired = (second: number) =>
    witness.until(
      (calls) => new Set(calls.filter((call) => call.second === second).map((call) => call.jobId)).size === jobCount,
    );
  const nowSecond = () => Math.floor(Date.now() / 1000);

  it.each(victims)("kill -9 of %s loses no occurrence", async (victim) => {
    const from = firstSecond;
    const killed = nowSecond();
    system.kill(victim, "SIGKILL");
    // Far enough for a take-over, a redelivery and a restart with backoff to be over.
    const to = killed + 4;
    await eventually(
      async () => missing(jobIds, from, to, arrived()),
      (lost) => lost.length === 0,
    );
  });

  it("goes on firing while the registry is down", async () => {
    system.kill("registry", "SIGSTOP");
    const down = nowSecond() + 2;
    await fired(down);
    await fired(down + 1);
    system.kill("registry", "SIGCONT");
  });

  it("has a record of each of those occurrences", async () => {
    const to = nowSecond() - 1;
    await eventually(
      async () => missing(jobIds, firstSecond, to, arrived()),
      (lost) => lost.length === 0,
    );
    await eventually(
      async () => missing(jobIds, firstSecond, to, await recordedIds(system.httpUrl, jobIds)),
      (lost) => lost.length === 0,
    );
    expect(missing(jobIds, firstSecond, to, arrived())).toEqual([]);
  });
});
