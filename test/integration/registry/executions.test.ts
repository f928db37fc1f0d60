import { once } from "node:events";
import { ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ExecutionService, ExecutionStatus, ExecutionTrigger } from "../../../gen/carillon/v1/execution_pb.ts";
import { systemClock } from "../../../services/platform/process/clock.ts";
import type { Address } from "../../../services/platform/process/environment.ts";
import { createLog } from "../../../services/platform/process/log.ts";
import { createMetrics } from "../../../services/platform/process/metrics.ts";
import { bindService, createCallPipeline } from "../../../services/platform/rpc/binding.ts";
import { RpcError } from "../../../services/platform/rpc/errors/rpc-error.ts";
import { createGrpcServer, type GrpcServer } from "../../../services/platform/rpc/grpc/grpc-server.ts";
import { fromConnectError } from "../../support/connect-refusal.ts";
import { everyHour, type Registry, removeDir, startRegistry, tempDir } from "../../support/registry.ts";

const log = createLog("test", "silent");
const internalToken = "between-us";
const neverAnswered = "never-answered";

interface Watch {
  events: EventTarget;
  /** What history lists of those that have not ended. */
  unended?: () => { executionId: string }[];
  /** The token of each watch, as the front door handed it on. */
  tokens: string[];
  opened?: () => void;
  ended?: () => void;
}

/** History's port, with executions that the test makes. */
async function startHistory(address: Address, watch: Watch): Promise<GrpcServer> {
  const pipeline = createCallPipeline(
    { tokens: [internalToken] },
    { metrics: createMetrics("history"), log, clock: systemClock },
  );
  const executions = bindService(
    ExecutionService,
    {
      listExecutions: ({ jobId, pageSize, pageToken, includeRunning }) => {
        if (includeRunning) return { executions: watch.unended?.() ?? [] };
        const executionId = `${jobId}-${pageSize}-${pageToken}`;
        return { executions: [{ executionId, jobId, status: ExecutionStatus.SUCCESS }], nextPageToken: "next" };
      },
      async getExecution({ executionId }, context) {
        if (executionId === neverAnswered) await once(context.signal, "abort");
        throw new RpcError("NOT_FOUND", `there is no execution ${executionId}`, { reason: "EXECUTION_NOT_FOUND" });
      },
      async *watchExecutions({ jobId, resumeToken }, context) {
        watch.tokens.push(resumeToken);
        const first = once(watch.events, "execution", { signal: context.signal });
        context.open();
        watch.opened?.();
        await first;
        yield { executionId: `${jobId}-1`, jobId, resumeToken: `behind ${watch.tokens.length}` };
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
  const watch: Watch = { events: new EventTarget(), tokens: [] };

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

  it("asks about the job that a key names, by its id", async () => {
    await registry.jobs.updateJob({ job: { jobId, key: "a/b:c" } });
    const page = await registry.executions.listExecutions({ jobId: "key=a/b:c", pageSize: 7 });
    expect(page.executions).toMatchObject([{ jobId }]);
    const { port } = registry.addresses.http;
    const client = new AbortController();
    const watched = `http://127.0.0.1:${port}/jobs/key=a%2Fb%3Ac/executions:watch`;
    const response = await fetch(watched, { headers: { accept: "application/x-ndjson" }, signal: client.signal });
    watch.events.dispatchEvent(new Event("execution"));
    const first = await response.body?.pipeThrough(new TextDecoderStream()).getReader().read();
    expect(JSON.parse(first?.value ?? "")).toMatchObject({ job_id: jobId });
    client.abort();
    const nobody = registry.executions.listExecutions({ jobId: "key=a/b" });
    await expect(nobody).rejects.toMatchObject({ code: "NOT_FOUND", metadata: { job_id: "key=a/b" } });
  });

  it("passes history's refusals on as they are", async () => {
    const refusal = registry.executions.getExecution({ executionId: "x-1" });
    await expect(refusal).rejects.toMatchObject({ code: "NOT_FOUND", reason: "EXECUTION_NOT_FOUND" });
  });

  it("shows a manual run that history has not heard of yet, and lists it once history has", async () => {
    const { executionId } = await registry.jobs.runJob({ jobId });
    const run = { executionId, jobId, status: ExecutionStatus.RUNNING, trigger: ExecutionTrigger.MANUAL };
    expect(await registry.executions.getExecution({ executionId })).toMatchObject(run);
    let asked = 0;
    watch.unended = () => (++asked < 3 ? [] : [{ executionId }]);
    expect(await registry.executions.listExecutions({ jobId, includeRunning: true })).toMatchObject({
      executions: [{ executionId }],
    });
    expect(asked).toBe(3);
    // Nobody knows of others.
    const other = `${executionId.slice(0, -1)}${executionId.endsWith("0") ? "1" : "0"}`;
    await expect(registry.executions.getExecution({ executionId: other })).rejects.toMatchObject({ code: "NOT_FOUND" });
  });

  it("does not wait for ever for history to hear of a run, nor for that of another job", async () => {
    const other = (await registry.jobs.createJob({ job: everyHour })).jobId;
    await registry.jobs.runJob({ jobId });
    let asked = 0;
    watch.unended = () => {
      asked++;
      return [];
    };
    expect(await registry.executions.listExecutions({ jobId: other, includeRunning: true })).toMatchObject({
      executions: [],
    });
    expect(asked).toBe(1);
    expect(await registry.executions.listExecutions({ jobId, includeRunning: true })).toMatchObject({ executions: [] });
    expect(asked).toBeGreaterThan(2);
  });

  it("tells a caller whose own deadline has passed that, and not that history is away", async () => {
    const { port } = registry.addresses.http;
    const ask = async () => {
      const answer = await fetch(`http://127.0.0.1:${port}/carillon.v1.ExecutionService/GetExecution`, {
        method: "POST",
        headers: { "content-type": "application/json", "connect-timeout-ms": "100" },
        body: JSON.stringify({ execution_id: neverAnswered }),
      });
      return (await answer.json()) as { code: string };
    };
    // Two clocks run to the same instant, and either may be first.
    const codes = await Promise.all(Array.from({ length: 50 }, async () => (await ask()).code));
    expect(new Set(codes)).toEqual(new Set(["deadline_exceeded"]));
    const refused = registry.executions.getExecution({ executionId: neverAnswered });
    await expect(refused).rejects.toMatchObject({ code: "UNAVAILABLE", reason: "HISTORY_UNAVAILABLE" });
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

  it("goes on with a watch behind its last token once history is back, and its client notices nothing", async () => {
    const opened = () =>
      new Promise<void>((resolve) => {
        watch.opened = resolve;
      });
    watch.tokens = [];
    const first = opened();
    const told = registry.executions.watchExecutions({ jobId, resumeToken: "begin" })[Symbol.asyncIterator]();
    const next = told.next();
    await first;
    watch.events.dispatchEvent(new Event("execution"));
    expect((await next).value).toMatchObject({ resumeToken: "behind 1" });
    const second = opened();
    const after = told.next();
    await history.stop();
    history = await startHistory(history.address(), watch);
    await second;
    watch.events.dispatchEvent(new Event("execution"));
    expect((await after).value).toMatchObject({ resumeToken: "behind 2" });
    expect(watch.tokens).toEqual(["begin", "behind 1"]);
    await told.return?.();
  });

  it("ends the watches of a job that was deleted, after what was still to be told", async () => {
    const url = `http://127.0.0.1:${registry.addresses.http.port}/jobs/${jobId}`;
    const opened = new Promise<void>((resolve) => {
      let count = 0;
      watch.opened = () => ++count === 2 && resolve();
    });
    const overGrpc = (async () => {
      const seen: string[] = [];
      for await (const { executionId } of registry.executions.watchExecutions({ jobId })) seen.push(executionId);
      return seen;
    })();
    const overRest = fetch(`${url}/executions:watch`).then((response) => response.text());
    await opened;
    // There is no broker to tell of it.
    const deleted = registry.jobs.deleteJob({ jobId }).catch((error: RpcError) => error.reason);
    watch.events.dispatchEvent(new Event("execution"));
    expect(await overGrpc).toEqual([`${jobId}-1`]);
    expect((await overRest).match(/^event: .*$/gm)).toEqual(["event: execution"]);
    expect((await fetch(`${url}/executions:watch`)).status).toBe(404);
    expect(await deleted).toBe("CHANGE_PENDING");
  });

  it("tells its watchers on each face that it stops, not that history's stream was cancelled", async () => {
    const url = `http://127.0.0.1:${registry.addresses.http.port}`;
    const overConnect = createClient(ExecutionService, createConnectTransport({ baseUrl: url, httpVersion: "1.1" }));
    const opened = new Promise<void>((resolve) => {
      let count = 0;
      watch.opened = () => ++count === 3 && resolve();
    });
    const refusalOf = async (stream: AsyncIterable<unknown>, first: () => void) => {
      try {
        for await (const _ of stream) first();
        return "it ended without a word";
      } catch (error) {
        return error instanceof ConnectError ? fromConnectError(error) : error;
      }
    };
    const firsts = [Promise.withResolvers<void>(), Promise.withResolvers<void>()] as const;
    const grpc = refusalOf(registry.executions.watchExecutions({ jobId }), firsts[0].resolve);
    const connect = refusalOf(overConnect.watchExecutions({ jobId }), firsts[1].resolve);
    const events = fetch(`${url}/jobs/${jobId}/executions:watch`).then((response) => response.text());
    await opened;
    watch.events.dispatchEvent(new Event("execution"));
    await Promise.all(firsts.map(({ promise }) => promise));
    await registry.stop();
    const stopping = { code: "UNAVAILABLE", reason: "SERVER_STOPPING" };
    expect(await grpc).toMatchObject(stopping);
    expect(await connect).toMatchObject(stopping);
    expect(await events).toMatch(/event: error\ndata: .*"status":"UNAVAILABLE".*"reason":"SERVER_STOPPING"/);
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
    const samples = page.match(/^carillon_jobs\{.*state="active"/gm);
    const peer = `carillon_jobs{peer="127.0.0.1:${registry.addresses.ops.port}",state="active"`;
    expect(samples).toEqual(['carillon_jobs{state="active"', peer]);
  });
});
