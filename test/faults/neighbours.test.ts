import { fork } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { BadPorts } from "../bench/bad-target-process.ts";
import { type NeighbourJobs, neighbours } from "../bench/neighbours.ts";
import { type Rig, startRig } from "../bench/rig.ts";
import { eventually } from "../support/rest.ts";

const healthyJobs = 100;
const healthyOrigins = 20;
const everySecond = "* * * * * *";
const seconds = 30;
// Of each neighbour's jobs so many: all of them together are there at once, on a machine of any size.
const share = 0.05;

describe("bad neighbours, all at once", { timeout: 240_000 }, () => {
  let rig: Rig;
  let ports: BadPorts;
  const bad = fork(new URL("../bench/bad-target-process.ts", import.meta.url), { stdio: "inherit" });

  beforeAll(async () => {
    [ports] = (await once(bad, "message")) as [BadPorts];
    // A broker that the dead letters of a minute would fill.
    rig = await startRig({
      CARILLON_NAME_SERVERS: `127.0.0.1:${ports.names}`,
      CARILLON_BROKER_MAX_BYTES: "100000000",
    });
  }, 120_000);
  afterAll(async () => {
    await rig.stop();
    bad.disconnect();
  });

  it("take no occurrence from anybody, let go of every due message, and leave nothing behind", async () => {
    await rig.createJobs(healthyJobs, everySecond, (i) => ({ apiEndpoint: rig.url(i % healthyOrigins) }));
    const theirs: string[] = [];
    for (const neighbour of Object.values(neighbours)) {
      const does = neighbour(ports);
      if (typeof does === "function") continue;
      const { count, schedule, define }: NeighbourJobs = does;
      theirs.push(...(await rig.createJobs(Math.ceil(count * share), schedule, define)));
    }
    const from = Math.floor(Date.now() / 1000) + 3;
    const to = from + seconds - 1;
    await sleep((to + 1) * 1000 - Date.now());
    const report = await eventually(
      () => rig.report(from, to),
      ({ bySecond }) => bySecond.length === seconds && bySecond.every(([, count]) => count === healthyJobs),
    );
    expect(report.bySecond.map(([, count]) => count)).toEqual(Array.from({ length: seconds }, () => healthyJobs));
    await rig.deleteJobs(theirs);
    const ready = await eventually(
      () => fetch(`${rig.system.httpUrl}/readyz`),
      ({ status }) => status === 200,
    );
    expect(ready.status).toBe(200);
    // Calls hang on for up to half an hour, and none of them keeps a due message.
    await eventually(
      async () => /^carillon_settlement_pending\S* (\d+)/m.exec(await executorMetrics(rig))?.[1],
      (pending) => Number(pending) < healthyJobs,
    );
  });
});

async function executorMetrics({ system }: Rig): Promise<string> {
  const { host, port } = system.addresses.ops.executor;
  return (await fetch(`http://${host}:${port}/metrics`)).text();
}
