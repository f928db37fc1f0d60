import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loopbackUrl, type Rig, startRig } from "../bench/rig.ts";
import { closedPort } from "../support/closed-port.ts";
import { allFired } from "../support/healthy.ts";
import { eventually, restClient } from "../support/rest.ts";
import { startTarget, type Target } from "../support/target.ts";

const healthyJobs = 50;
const seconds = 20;
const everySecond = "* * * * * *";
const bodyBytes = 128 * 1024;

describe("retries that wait for hours and fill RETRY", { timeout: 240_000 }, () => {
  let rig: Rig;
  let refused: number;
  let flaky: Target;

  beforeAll(async () => {
    refused = await closedPort();
    flaky = await startTarget();
    // 6 MB for RETRY, 12 for DUE: they come to 3 MB a second.
    rig = await startRig({ CARILLON_BROKER_MAX_BYTES: "40000000" });
  }, 120_000);
  afterAll(async () => {
    await rig.stop();
    await flaky.stop();
  });

  it("take no occurrence from anybody, and end as dead letters where there is no room for them", async () => {
    await rig.createJobs(healthyJobs, everySecond, (i) => ({ apiEndpoint: rig.url(i % 10) }));
    const bad = await rig.createJobs(20, everySecond, () => ({
      apiEndpoint: `http://127.0.0.1:${refused}/`,
      http: { body: "x".repeat(bodyBytes) },
      retry: { maxAttempts: 3, minBackoff: { seconds: 3_600n }, maxBackoff: { seconds: 86_400n } },
    }));
    await allFired(rig, { jobs: healthyJobs, seconds, inSeconds: 8 });
    // What is theirs alone is refused: others are tried again as ever.
    const rest = restClient(rig.system.httpUrl);
    flaky.on("/", ({ attempt }) => ({ status: attempt === 1 ? 500 : 200 }));
    await rig.createJobs(1, everySecond, () => ({
      apiEndpoint: flaky.url("/"),
      retry: { minBackoff: { nanos: 50_000_000 } },
    }));
    await flaky.until(() => flaky.arrivals().filter(({ attempt }) => attempt === 2).length >= 5);
    const {
      body: { executions },
    } = await rest.get(`/jobs/${bad[0]}/executions`);
    expect(executions).toHaveLength(5);
    for (const { status, message } of executions) {
      expect([status, message]).toEqual([
        "FAILED",
        expect.stringMatching(/^connection refused .*\(not tried again: more retries wait/),
      ]);
    }
    const dead = await rest.get("/dead-executions");
    expect(dead.body.dead_executions.length).toBeGreaterThan(0);
    await rig.deleteJobs(bad);
  });

  it("keep nobody from being tried again soon where many targets do so, nor after a restart of the executor", async () => {
    const rest = restClient(rig.system.httpUrl);
    const many = await rig.createJobs(20, everySecond, (i) => ({
      apiEndpoint: loopbackUrl(i, refused),
      http: { body: "x".repeat(bodyBytes / 8) },
      retry: { maxAttempts: 3, minBackoff: { seconds: 3_600n }, maxBackoff: { seconds: 86_400n } },
    }));
    const [often] = await rig.createJobs(1, everySecond, () => ({
      apiEndpoint: flaky.url("/often"),
      retry: { minBackoff: { nanos: 50_000_000 } },
    }));
    flaky.on("/often", ({ attempt }) => ({ status: attempt === 1 ? 500 : 200 }));
    const triedAgain = () => flaky.arrivals("/often").filter(({ attempt }) => attempt === 2).length;
    for (const kill of [false, true]) {
      if (kill) rig.system.kill("executor");
      const before = triedAgain();
      for (const id of many) {
        const listed = await eventually(
          () => rest.get(`/jobs/${id}/executions`),
          ({ body }) =>
            body.executions?.some(({ message }: { message: string }) => message.includes("(not tried again")),
        );
        expect(listed.status).toBe(200);
      }
      await flaky.until(() => triedAgain() >= before + 10);
      const { body } = await rest.get(`/jobs/${often}/executions`);
      for (const { status } of body.executions) expect(["SUCCESS", "RETRYING"]).toContain(status);
    }
  });
});
