import { once } from "node:events";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ExecutionService, ExecutionStatus } from "../../gen/carillon/v1/execution_pb.ts";
import { systemClock } from "../../services/platform/clock.ts";
import type { Address } from "../../services/platform/config.ts";
import { createLog } from "../../services/platform/log.ts";
import { createMetrics } from "../../services/platform/metrics.ts";
import { bindService, createCallPipeline } from "../../services/platform/rpc/binding.ts";
import { createGrpcServer, type GrpcServer } from "../../services/platform/rpc/grpc-server.ts";
import { RpcError } from "../../services/platform/rpc/rpc-error.ts";
import { everyHour, type Registry, removeDir, startRegistry, tempDir } from "../support/registry.ts";

const log = createLog("test", "silent");
const internalToken = "between-us";

/** History's port, with executions that the test makes. */
async function startHistory(address: Address, watch: { events: EventTarget; ended?: () => void }): Promise<GrpcServer> {
  const pipeline = createCallPipeline(
    { tokens: [internalToken] },
    { metrics: createMetrics("history"), log, clock: systemClock },
  );
  const executions = bindService(
    ExecutionService,
    {
      listExecutions: ({ jobId, pageSize, pageToken }) => ({
        executions: [{ executionId: `${jobId}-${pageSize}-${pageToken}`, jobId, status: ExecutionStatus.SUCCESS }],
        nextPageToken: "next",
      }),
      getExecution({ executionId }) {
        throw new RpcError("NOT_FOUND", `there is no execution ${executionId}`, { reason: "EXECUTION_NOT_FOUND" });
      },
      async *watchExecutions({ jobId }, context) {
        const first = once(watch.events, "execution", { signal: context.signal });
        context.open();
        await first;
        yield { executionId: `${jobId}-1`, jobId };
        await once(context.signal, "abort");
        watch.ended?.();
      },
      auditJob: () => ({}),
    },
    pipeline,
  );
  const server = createGrpcServer({ address, drainMs: 100 }, { services: [executions], log, clock: systemClock });
  await server.start();
  return server;
}

describe("ExecutionService at the front door", () => {
  let dataDir: string;
  let history: GrpcServer;
  let registry: Registry;
  let jobId: string;
  const watch: { events: EventTarget; ended?: () => void } = { events: new EventTarget() };

  beforeEach(async () => {
    dataDir = await tempDir();
    history = await startHistory({ host: "127.0.0.1", port: 0 }, watch);
    const natsUrl = "nats://127.0.0.1:9";
    registry = await startRegistry({ dataDir, natsUrl, historyAddress: history.address(), internalToken });
    jobId = (await registry.jobs.createJob({ job: everyHour })).jobId;
  });
  afterEach(async () => {
    await registry.stop();
    await history.stop();
    await removeDir(dataDir);
  });

  it("passes questions and answers on", async () => {
    const page = await registry.executions.listExecutions({ jobId, pageSize: 7, pageToken: "t" });
    expect(page).toMatchObject({ executions: [{ executionId: `${jobId}-7-t` }], nextPageToken: "next" });
  });

  it("passes history's refusals on as they are", async () => {
    const refusal = registry.executions.getExecution({ executionId: "x-1" });
    await expect(refusal).rejects.toMatchObject({ code: "NOT_FOUND", reason: "EXECUTION_NOT_FOUND" });
  });

  it("opens a watch before there is anything to tell, and ends history's when the client goes", async () => {
    const ended = new Promise<void>((resolve) => {
      watch.ended = resolve;
    });
    const client = new AbortController();
    const { http } = registry.addresses;
    const response = await fetch(`http://127.0.0.1:${http.port}/jobs/${jobId}/executions:watch`, {
      headers: { accept: "text/event-stream" },
      signal: client.signal,
    });
    expect(response.status).toBe(200);
    watch.events.dispatchEvent(new Event("execution"));
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    while (!text.includes(`${jobId}-1`)) text += (await reader?.read())?.value ?? "";
    client.abort();
    await ended;
  });

  it("finds a history that was restarted with the next call", async () => {
    const address = history.address();
    await history.stop();
    const refused = registry.executions.listExecutions({ jobId });
    await expect(refused).rejects.toMatchObject({ code: "UNAVAILABLE", reason: "HISTORY_UNAVAILABLE" });
    history = await startHistory(address, watch);
    expect((await registry.executions.listExecutions({ jobId })).executions).toHaveLength(1);
  });

  it("is served with its docs, and with the metrics of peers, up or down", async () => {
    const door = (path: string) => fetch(`http://127.0.0.1:${registry.addresses.http.port}${path}`);
    const openApi = (await (await door("/openapi.json")).json()) as { paths: Record<string, unknown> };
    expect(Object.keys(openApi.paths)).toContain("/jobs/{job_id}/executions");
    expect((await door("/docs")).status).toBe(200);

    const other = await startRegistry({
      dataDir: `${dataDir}/other`,
      natsUrl: "nats://127.0.0.1:9",
      metricsPeers: [registry.addresses.ops, { host: "127.0.0.1", port: 9 }],
    });
    const page = await fetch(`http://127.0.0.1:${other.addresses.http.port}/metrics`).then((answer) => answer.text());
    await other.stop();
    expect(page).toContain(`carillon_peer_up{peer="127.0.0.1:${registry.addresses.ops.port}"} 1`);
    expect(page).toContain('carillon_peer_up{peer="127.0.0.1:9"} 0');
    expect(page.match(/^# TYPE carillon_jobs gauge$/gm)).toHaveLength(1);
    expect(page.match(/^carillon_jobs\{state="active"/gm)).toHaveLength(2);
  });
});
