import { fork } from "node:child_process";
import { once } from "node:events";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { BadPorts } from "../bench/bad-target-process.ts";
import { type NeighbourJobs, neighbours } from "../bench/neighbours.ts";
import { type Rig, startRig } from "../bench/rig.ts";
import { allFired } from "../support/healthy.ts";
import { eventually } from "../support/rest.ts";

const healthyJobs = 100;
const healthyOrigins = 20;
const everySecond = "* * * * * *";
const seconds = 30;
// Of each neighbour's jobs so many: all of them together are there at once, on a machine of any size.
const share = 0.05;
// Of each process; ARCHITECTURE, "What it costs".
const mostBytes = 700 * 1024 ** 2;

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
    await allFired(rig, { jobs: healthyJobs, seconds, inSeconds: 3 });
    await rig.deleteJobs(theirs);
    const ready = await eventually(
      () => fetch(`${rig.system.httpUrl}/readyz`),
      ({ status }) => status === 200,
    );
    expect(ready.status).toBe(200);
    // Calls hang on for up to half an hour. None of them keeps a due message, and nothing else is left of their jobs.
    await eventually(
      () => Promise.all([executorGauge(rig, "in_flight"), rig.backlog("LANES"), rig.backlog("RUNNING")]),
      ([inFlight, lanes, running]) => lanes + running <= inFlight + healthyJobs,
    );
    await eventually(
      () => Promise.all([executorGauge(rig, "settlement_pending"), rig.backlog("LANES"), rig.backlog("DUE")]),
      ([pending, lanes, due]) => pending <= lanes + due + healthyJobs && due <= 2 * healthyJobs,
    );
    for (const [process, { rssBytes }] of Object.entries(rig.usage())) {
      expect([process, rssBytes < mostBytes]).toEqual([process, true]);
    }
  });
});

async function executorGauge({ system }: Rig, name: string): Promise<number> {
  const { host, port } = system.addresses.ops.executor;
  const metrics = await (await fetch(`http://${host}:${port}/metrics`)).text();
  return Number(new RegExp(`^carillon_${name}\\S* (\\d+)`, "m").exec(metrics)?.[1]);
}
