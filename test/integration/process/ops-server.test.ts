import { afterEach, expect, it } from "vitest";
import { readCommonSettings } from "../../../services/platform/process/common-settings.ts";
import { readEnvironment } from "../../../services/platform/process/environment.ts";
import { createLog } from "../../../services/platform/process/log.ts";
import { createMetrics } from "../../../services/platform/process/metrics.ts";
import { createOpsServer, type OpsServer } from "../../../services/platform/process/ops-server.ts";

const started: OpsServer[] = [];
afterEach(async () => {
  for (const server of started.splice(0)) await server.stop();
});

async function startOps(metricsToken?: string) {
  const ops = createOpsServer({
    address: { host: "127.0.0.1", port: 0 },
    metrics: createMetrics("ticker"),
    metricsToken,
    ready: () => true,
    log: createLog("ops", "silent"),
  });
  started.push(ops);
  await ops.start();
  const url = `http://127.0.0.1:${ops.address().port}`;
  return (path: string, authorization?: string) =>
    fetch(`${url}${path}`, { headers: authorization === undefined ? {} : { authorization } });
}

it("where a token is set, metrics are for who has it, and an orchestrator needs none", async () => {
  const get = await startOps("s3cret");
  for (const authorization of [undefined, "", "Bearer", "Bearer wrong", "Basic s3cret", "Bearer s3cret more"]) {
    const answer = await get("/metrics", authorization);
    expect([answer.status, answer.headers.get("www-authenticate")]).toEqual([401, "Bearer"]);
    expect(await answer.text()).not.toContain("carillon_");
  }
  expect((await get("/metrics", "bearer s3cret")).status).toBe(200);
  for (const path of ["/livez", "/healthz", "/readyz"]) expect((await get(path)).status).toBe(200);
});

it("where none is set, metrics are for everybody", async () => {
  const get = await startOps();
  expect((await get("/metrics")).status).toBe(200);
});

it("the token between the services guards the metrics that other machines reach, and no others", () => {
  const tokenOf = (env: Record<string, string>) => readCommonSettings(readEnvironment(env), { opsPort: 9191 }).opsToken;
  const CARILLON_INTERNAL_TOKEN = "s3cret";
  expect(tokenOf({ CARILLON_INTERNAL_TOKEN, CARILLON_OPS_ADDR: "0.0.0.0:9191" })).toBe("s3cret");
  expect(tokenOf({ CARILLON_INTERNAL_TOKEN, CARILLON_OPS_ADDR: "127.0.0.1:9191" })).toBeUndefined();
  expect(tokenOf({ CARILLON_INTERNAL_TOKEN })).toBeUndefined();
  expect(tokenOf({ CARILLON_OPS_ADDR: "0.0.0.0:9191" })).toBeUndefined();
});
