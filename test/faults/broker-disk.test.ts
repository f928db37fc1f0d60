import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { missing } from "../support/ledger.ts";
import { restClient } from "../support/rest.ts";
import { canMount, mountSmallDisk, type SmallDisk } from "../support/small-disk.ts";
import { type System, startSystem } from "../support/system.ts";
import { type Call, startWitness, type Witness } from "../support/witness.ts";

const rounds = 3;

describe.runIf(canMount)("a broker whose disk is full", () => {
  let dataDir: string;
  let disk: SmallDisk;
  let system: System;
  let witness: Witness;
  let output = "";
  const heard = new Set<() => void>();

  beforeAll(async () => {
    dataDir = await mkdtemp(join(tmpdir(), "carillon-full-"));
    disk = await mountSmallDisk(join(dataDir, "nats"));
    witness = await startWitness();
    system = await startSystem({
      dataDir,
      onOutput(text) {
        output += text;
        for (const check of heard) check();
      },
    });
  });
  afterAll(async () => {
    await system?.stop();
    await witness?.stop();
    await disk?.unmount();
    await rm(dataDir, { recursive: true, force: true });
  });

  const times = (event: string) => output.split(`"event":"${event}"`).length - 1;
  const said = (event: string, count: number) =>
    new Promise<void>((resolve) => {
      const check = () => {
        if (times(event) < count) return;
        heard.delete(check);
        resolve();
      };
      heard.add(check);
      check();
    });

  it("stores again once there is room, three times under load, and no occurrence is lost", async () => {
    const rest = restClient(system.httpUrl);
    const job = { schedule: "* * * * * *", api_endpoint: witness.url, type: "ATLEAST_ONCE" };
    const { body } = await rest.post("/jobs:batchCreate", { requests: Array.from({ length: 50 }, () => ({ job })) });
    const jobIds: string[] = body.jobs.map((created: { job_id: string }) => created.job_id);
    const first = Math.floor(Date.parse(body.jobs[0].created_at) / 1000) + 1;
    const firedSince = (second: number) =>
      witness.until((calls) => {
        const late = new Set(calls.filter((call) => call.second >= second).map((call) => call.jobId));
        return jobIds.every((jobId) => late.has(jobId));
      });
    await firedSince(first + 1);
    for (let round = 1; round <= rounds; round++) {
      disk.fill();
      await said("broker_does_not_store", round);
      expect(times("broker_restarted")).toBe(round - 1);
      const created = await rest.post("/jobs", job);
      expect(created.status).toBe(200);
      jobIds.push(created.body.job_id);
      disk.free();
      await said("broker_restarted", round);
      await firedSince(Math.ceil(Date.now() / 1000));
    }
    const last = Math.min(
      ...jobIds.map((id) => Math.max(...witness.calls.filter((c) => c.jobId === id).map((c) => c.second))),
    );
    // What the outages held up may come behind what is due now.
    const lost = (calls: readonly Call[]) =>
      missing(jobIds.slice(0, 50), first, last, new Set(calls.map((call) => `${call.jobId}-${call.second}`)));
    await witness.until((calls) => lost(calls).length === 0);
    expect(times("disk_full")).toBe(rounds);
    expect(times("disk_has_room")).toBe(rounds);
    expect(await system.stop()).toBe(0);
  });
});
