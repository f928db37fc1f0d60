import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Rig, startRig } from "../bench/rig.ts";
import { closedPort } from "../support/closed-port.ts";
import { eventually } from "../support/rest.ts";

const healthyJobs = 50;
const seconds = 20;
const everySecond = "* * * * * *";
const bodyBytes = 128 * 1024;

describe("retries that wait for hours and fill RETRY", { timeout: 240_000 }, () => {
  let rig: Rig;
  let refused: number;

  beforeAll(async () => {
    refused = await closedPort();
    // 6 MB for RETRY, 12 for DUE: they come to 3 MB a second.
    rig = await startRig({ CARILLON_BROKER_MAX_BYTES: "40000000" });
  }, 120_000);
  afterAll(() => rig.stop());

  it("take no occurrence from anybody, and end as dead letters where there is no room for them", async () => {
    await rig.createJobs(healthyJobs, everySecond, (i) => ({ apiEndpoint: rig.url(i % 10) }));
    const bad = await rig.createJobs(20, everySecond, () => ({
      apiEndpoint: `http://127.0.0.1:${refused}/`,
      http: { body: "x".repeat(bodyBytes) },
      retry: { maxAttempts: 3, minBackoff: { seconds: 3_600n }, maxBackoff: { seconds: 86_400n } },
    }));
    const from = Math.floor(Date.now() / 1000) + 8;
    const to = from + seconds - 1;
    await sleep((to + 1) * 1000 - Date.now());
    const report = await eventually(
      () => rig.report(from, to),
      ({ bySecond }) => bySecond.length === seconds && bySecond.every(([, count]) => count === healthyJobs),
    );
    expect(report.bySecond.map(([, count]) => count)).toEqual(Array.from({ length: seconds }, () => healthyJobs));
    console.log(bad.length);
  });
});
