import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { JobService, JobType } from "../../../gen/carillon/v1/job_pb.ts";
import { systemClock } from "../../../services/platform/process/clock.ts";
import { parseAddress } from "../../../services/platform/process/environment.ts";
import { createGrpcClient } from "../../../services/platform/rpc/grpc/grpc-client.ts";
import { eventually, type RestClient, restClient } from "../../support/rest.ts";
import { type System, startSystem } from "../../support/system.ts";
import { type Call, startWitness, type Witness } from "../../support/witness.ts";

const everySecond = { schedule: "* * * * * *", type: "ATLEAST_ONCE" };

describe("the main job, on the whole system", () => {
  let system: System;
  let witness: Witness;
  let rest: RestClient;

  beforeAll(async () => {
    [system, witness] = await Promise.all([startSystem(), startWitness()]);
    rest = restClient(system.httpUrl);
  });
  afterAll(async () => {
    await system.stop();
    await witness.stop();
  });
  beforeEach(() => witness.answerWith((_call, response) => void response.end()));

  const of = (jobId: string) => (calls: readonly Call[]) => calls.filter((call) => call.jobId === jobId);

  /** Each second from the first after the creation on, none missing, none doubled. */
  async function firesEachSecond(jobId: string, createdAt: string) {
    await witness.until((calls) => of(jobId)(calls).length >= 7);
    const calls = of(jobId)(witness.calls);
    const first = Math.floor(Date.parse(createdAt) / 1000) + 1;
    expect(calls.map((call) => call.second)).toEqual(calls.map((_, index) => first + index));
    for (const call of calls) expect(call.arrivedAtMs).toBeGreaterThanOrEqual(call.second * 1000);
    return calls;
  }

  it("fires a job that REST created on each second, and serves its last five executions", async () => {
    const created = await rest.post("/jobs", { ...everySecond, api_endpoint: `${witness.url}/rest` });
    expect(created.status).toBe(200);
    const { job_id: jobId, created_at: createdAt } = created.body;
    const calls = await firesEachSecond(jobId, createdAt);
    expect(calls[0]).toMatchObject({ method: "POST", path: "/rest", body: "{}" });
    expect(calls[0]?.headers).toMatchObject({
      "content-type": "application/json",
      "idempotency-key": calls[0]?.executionId,
      "carillon-attempt": "1",
    });

    const { body } = await eventually(
      () => rest.get(`/jobs/${jobId}/executions`),
      (answer) => answer.body.executions.length === 5,
    );
    for (const execution of body.executions) {
      expect(execution).toMatchObject({ job_id: jobId, status: "SUCCESS", http_status: 200, attempt_count: 1 });
      expect(execution.timestamp).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
      expect(Date.parse(execution.timestamp)).toBeGreaterThanOrEqual(Date.parse(execution.scheduled_time));
      expect(execution.duration_ms).toBeGreaterThanOrEqual(0);
      expect(execution.execution_id).toBe(`${jobId}-${Date.parse(execution.scheduled_time) / 1000}`);
    }
    const times = body.executions.map((execution: { scheduled_time: string }) => execution.scheduled_time);
    expect(times).toEqual([...times].sort().reverse());
    await rest.delete(`/jobs/${jobId}`);
  });

  it("fires jobs that Connect JSON and native gRPC created alike", async () => {
    const connect = await rest.post("/carillon.v1.JobService/CreateJob", {
      job: { schedule: "* * * * * *", apiEndpoint: `${witness.url}/connect`, type: "JOB_TYPE_ATLEAST_ONCE" },
    });
    expect(connect.status).toBe(200);
    const address = parseAddress(system.grpcAddr) ?? { host: "", port: 0 };
    const grpc = createGrpcClient(JobService, { address }, { clock: systemClock });
    const job = await grpc.createJob({
      job: { schedule: "* * * * * *", apiEndpoint: `${witness.url}/grpc`, type: JobType.ATLEAST_ONCE },
    });
    await firesEachSecond(connect.body.jobId, connect.body.createdAt);
    await firesEachSecond(job.jobId, new Date(Number(job.createdAt?.seconds) * 1000).toISOString());
    await grpc.deleteJob({ jobId: job.jobId });
    grpc.close();
    await rest.delete(`/jobs/${connect.body.jobId}`);
  });

  async function firstExecution(job: Record<string, unknown>) {
    const created = await rest.post("/jobs", { ...everySecond, ...job });
    expect(created.body.error).toBeUndefined();
    const jobId = created.body.job_id;
    const { body } = await eventually(
      () => rest.get(`/jobs/${jobId}/executions`),
      (answer) => answer.body.executions.length > 0,
    );
    await rest.delete(`/jobs/${jobId}`);
    return body.executions[0];
  }

  it("calls a target that answers 500 twice, and records that it failed", async () => {
    witness.answerWith((_call, response) => void response.writeHead(500).end());
    const execution = await firstExecution({ api_endpoint: witness.url, retry: { max_backoff: "1s" } });
    expect(execution).toMatchObject({ status: "FAILED", http_status: 500, attempt_count: 2, reason: "HTTP_STATUS" });
    expect(execution.attempts.map((attempt: { attempt: number }) => attempt.attempt)).toEqual([1, 2]);
  });

  it("records a refused connection with its reason and without a status", async () => {
    const execution = await firstExecution({ api_endpoint: "http://127.0.0.1:1/", retry: { max_attempts: 1 } });
    expect(execution).toMatchObject({ status: "FAILED", reason: "CONNECTION_REFUSED", attempt_count: 1 });
    expect(execution).not.toHaveProperty("http_status");
  });

  it("records a timeout with its reason and without a status", async () => {
    witness.answerWith(() => undefined);
    const execution = await firstExecution({
      api_endpoint: witness.url,
      http: { timeout: "0.2s" },
      retry: { max_attempts: 1 },
    });
    expect(execution).toMatchObject({ status: "FAILED", reason: "TIMEOUT" });
    expect(execution).not.toHaveProperty("http_status");
    expect(execution.duration_ms).toBeGreaterThanOrEqual(190);
  });

  it("starts no occurrence of a job once a pause has been answered, and goes on once it is resumed", async () => {
    const { body: job } = await rest.post("/jobs", { ...everySecond, api_endpoint: `${witness.url}/pause` });
    await witness.until((calls) => of(job.job_id)(calls).length >= 2);
    const paused = await rest.post(`/jobs/${job.job_id}:pause`);
    const pausedAtMs = Date.now();
    expect(paused.body.state).toBe("PAUSED");
    await eventually(
      async () => Date.now(),
      (now) => now > pausedAtMs + 2_500,
    );
    const resumed = await rest.post(`/jobs/${job.job_id}:resume`);
    const before = of(job.job_id)(witness.calls).length;
    await witness.until((calls) => of(job.job_id)(calls).length >= before + 2);
    const seconds = of(job.job_id)(witness.calls).map((call) => call.second);
    const inPause = seconds.filter(
      (second) => second * 1000 > pausedAtMs && second * 1000 < Date.parse(resumed.body.updated_at),
    );
    expect(inPause).toEqual([]);
    expect(new Set(seconds).size).toBe(seconds.length);
    await rest.delete(`/jobs/${job.job_id}`);
  });

  it("runs a paused job once when asked to", async () => {
    const { body: job } = await rest.post("/jobs", {
      ...everySecond,
      schedule: "@yearly",
      api_endpoint: `${witness.url}/run`,
    });
    await rest.post(`/jobs/${job.job_id}:pause`);
    const { body: run } = await rest.post(`/jobs/${job.job_id}:run`);
    await witness.until((calls) => of(job.job_id)(calls).some((call) => call.executionId === run.execution_id));
    const execution = await eventually(
      () => rest.get(`/executions/${run.execution_id}`),
      ({ body }) => body.status !== "RUNNING",
    );
    expect(execution.body).toMatchObject({ status: "SUCCESS", trigger: "MANUAL" });
  });

  it("says what is wrong with a job, by field", async () => {
    const good = { ...everySecond, api_endpoint: witness.url };
    const cases: [Record<string, unknown>, number, string][] = [
      [{ ...good, schedule: "61 * * * * *" }, 400, "schedule"],
      [{ ...good, api_endpoint: "ftp://x/" }, 400, "api_endpoint"],
      [{ ...good, api_endpoint: undefined }, 400, "api_endpoint"],
      [{ ...good, shedule: "x" }, 400, "shedule"],
      [{ ...good, schedule: 5 }, 400, "schedule"],
      [{ ...good, type: "EXACTLY_ONCE" }, 400, "type"],
      [{ ...good, time_zone: "Mars/Base" }, 400, "time_zone"],
      [{ ...good, http: { body: "x".repeat(131_073) } }, 400, "http.body"],
      [{ ...good, jitter: "1s" }, 501, "jitter"],
    ];
    for (const [job, status, field] of cases) {
      const answer = await rest.post("/jobs", job);
      expect([answer.status, JSON.stringify(answer.body)]).toEqual([status, expect.stringContaining(`"${field}"`)]);
    }
    expect((await rest.get("/jobs/none")).status).toBe(404);
    expect((await rest.get("/jobs/none/executions")).status).toBe(404);
    expect(
      (await rest.get("/jobs")).body.jobs.some((job: { api_endpoint: string }) => job.api_endpoint === witness.url),
    ).toBe(false);
  });

  it("answers operators and newcomers", async () => {
    for (const path of ["/healthz", "/readyz", "/docs", "/openapi.json", "/metrics"]) {
      expect([path, (await fetch(system.httpUrl + path)).status]).toEqual([path, 200]);
    }
    const metrics = await (await fetch(`${system.httpUrl}/metrics`)).text();
    for (const name of [
      "carillon_fire_lateness_seconds_bucket",
      "carillon_executions_total",
      "carillon_stream_backlog",
      "carillon_watermark_age_seconds",
      "carillon_outbox_depth",
      "carillon_in_flight",
    ]) {
      expect(metrics).toContain(name);
    }
  });
});
