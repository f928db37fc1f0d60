import { rmSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Broker, createBroker } from "../../../services/platform/jetstream/broker.ts";
import { systemClock } from "../../../services/platform/process/clock.ts";
import { createLog } from "../../../services/platform/process/log.ts";
import { consumers, streams } from "../../../services/wire/streams.ts";
import { eventually, type RestClient, restClient } from "../../support/rest.ts";
import { type System, startSystem } from "../../support/system.ts";
import { type Call, startWitness, type Witness } from "../../support/witness.ts";

// Deletions wait for the registry's look at the streams and the publishers' next attempts, some ten seconds.
const patienceMs = 90_000;

describe("a running system whose broker loses what it kept", () => {
  let system: System;
  let witness: Witness;
  let rest: RestClient;
  let broker: Broker;

  beforeEach(async () => {
    [system, witness] = await Promise.all([startSystem(), startWitness()]);
    rest = restClient(system.httpUrl);
    witness.answerWith((_call, response) => void response.end());
    broker = createBroker(
      { url: system.addresses.natsUrl, name: "test" },
      { clock: systemClock, log: createLog("test", "silent") },
    );
    await broker.start();
  });
  afterEach(async () => {
    await broker.stop();
    await system.stop();
    await witness.stop();
  });

  const create = async (name: string): Promise<string> => {
    const job = { schedule: "* * * * * *", type: "ATLEAST_ONCE", api_endpoint: `${witness.url}/${name}` };
    const { status, body } = await rest.post("/jobs", job);
    expect(status).toBe(200);
    return body.job_id;
  };
  const of = (jobId: string, calls: readonly Call[] = witness.calls) => calls.filter((call) => call.jobId === jobId);
  const seconds = (jobId: string) => of(jobId).map(({ second }) => second);
  const firesBeyond = (jobId: string, second: number) =>
    witness.until((calls) => of(jobId, calls).some((call) => call.second >= second));

  const losses: Record<string, () => Promise<unknown>> = {
    "JOBS is deleted": () => broker.jsm.streams.delete(streams.jobs),
    "nats-server is killed and its disk lost": async () => {
      system.kill("nats-server");
      rmSync(join(system.dataDir, "nats"), { recursive: true, force: true });
    },
    "the stream of due events is deleted": () => broker.jsm.streams.delete(streams.due),
    "the consumer of due events is deleted": () => broker.jsm.consumers.delete(streams.due, consumers.due),
    "the claims and ticks are deleted": async () => {
      await broker.jsm.streams.delete(streams.claims);
      await broker.jsm.streams.delete(streams.ticks);
    },
  };

  for (const [what, lose] of Object.entries(losses)) {
    it(
      `fires on, loses no second, and obeys what is created, paused and deleted afterwards: ${what}`,
      async () => {
        const [steady, paused, deleted] = [await create("steady"), await create("paused"), await create("deleted")];
        await witness.until((calls) => [steady, paused, deleted].every((jobId) => of(jobId, calls).length >= 3));
        await lose();
        const lostAt = Math.floor(systemClock.nowMs() / 1000);
        // Whatever the broker does meanwhile, a change is answered.
        expect((await rest.post(`/jobs/${paused}:pause`, {})).status).toBe(200);
        const fresh = await create("fresh");
        const createdAt = Math.floor(systemClock.nowMs() / 1000);
        await firesBeyond(steady, lostAt + 5);
        await firesBeyond(fresh, createdAt + 3);
        expect((await rest.delete(`/jobs/${deleted}`)).status).toBe(200);
        const settled = Math.floor(systemClock.nowMs() / 1000) + 2;
        await firesBeyond(steady, settled + 3);
        for (const jobId of [paused, deleted]) expect(seconds(jobId).filter((second) => second > settled)).toEqual([]);
        for (const jobId of [steady, fresh]) {
          const fired = new Set(seconds(jobId));
          const first = Math.min(...fired);
          const missing = Array.from({ length: settled - first }, (_, i) => first + i).filter((s) => !fired.has(s));
          expect({ what, missing }).toEqual({ what, missing: [] });
        }
        // No due event was lost: nothing had to go out again.
        if (!/due|disk/.test(what)) expect(seconds(steady)).toEqual([...new Set(seconds(steady))]);
        await eventually(
          () => fetch(`${system.httpUrl}/readyz`),
          (answer) => answer.status === 200,
        );
      },
      patienceMs,
    );
  }
});
