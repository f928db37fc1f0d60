import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { eventually, type RestClient, restClient } from "../../support/rest.ts";
import { type System, startSystem } from "../../support/system.ts";
import { startTarget, type Target } from "../../support/target.ts";

interface Shown {
  execution_id: string;
  status: string;
  timestamp: string;
  attempt_count: number;
  attempts: { attempt: number; status: string; timestamp: string; duration_ms: number }[];
  next_attempt_time?: string;
  message: string;
  trigger: string;
}

const statusesOf = (executions: Shown[]) => executions.map(({ status }) => status);

describe("an execution that has not ended", { timeout: 60_000 }, () => {
  let system: System;
  let target: Target;
  let rest: RestClient;
  let path = 0;
  let hook: string;

  beforeAll(async () => {
    target = await startTarget();
    system = await startSystem();
    rest = restClient(system.httpUrl);
  });
  afterAll(async () => {
    await system.stop();
    await target.stop();
  });
  beforeEach(() => {
    hook = `/hook-${path++}`;
  });

  const createJob = async (changes: object = {}): Promise<string> => {
    const job = { schedule: "0 0 1 1 *", type: "ATLEAST_ONCE", api_endpoint: target.url(hook) };
    return (await rest.post("/jobs", { ...job, ...changes })).body.job_id;
  };
  const run = async (jobId: string): Promise<string> => (await rest.post(`/jobs/${jobId}:run`)).body.execution_id;
  const get = async (id: string): Promise<Shown> => {
    const { status, body } = await rest.get(`/executions/${id}`);
    expect(status, JSON.stringify(body)).toBe(200);
    return body;
  };
  const list = async (jobId: string, query = "?include_running=true"): Promise<Shown[]> =>
    (await rest.get(`/jobs/${jobId}/executions${query}`)).body.executions;

  it("is there from the answer of :run on, with each attempt while it is on the wire and the next one's time", async () => {
    const answer = Promise.withResolvers<void>();
    target.on(hook, { status: 500, after: answer.promise });
    const jobId = await createJob({ retry: { min_backoff: "3600s", max_backoff: "3600s" } });
    const id = await run(jobId);
    expect(await get(id)).toMatchObject({ status: "RUNNING", trigger: "MANUAL" });
    expect(await list(jobId)).toMatchObject([{ execution_id: id, status: "RUNNING" }]);
    expect(await list(jobId, "")).toEqual([]);

    await target.until(() => target.arrivals(hook).length === 1);
    const first = await get(id);
    const [attempt] = first.attempts;
    expect(first).toMatchObject({ status: "RUNNING", attempt_count: 1, attempts: [{ attempt: 1, status: "RUNNING" }] });
    expect(first.timestamp).toBe(attempt?.timestamp);
    expect(Math.abs(Date.parse(first.timestamp) - Date.now())).toBeLessThan(60_000);
    expect(first.next_attempt_time).toBeUndefined();
    expect(await list(jobId)).toMatchObject([{ execution_id: id, status: "RUNNING", attempt_count: 1 }]);

    answer.resolve();
    const failed = await eventually(
      () => get(id),
      (execution) => execution.status !== "RUNNING",
    );
    expect(failed).toMatchObject({
      status: "RETRYING",
      attempt_count: 1,
      attempts: [{ attempt: 1, status: "FAILED" }],
    });
    const nextMs = Date.parse(failed.next_attempt_time ?? "");
    // Anywhere within the span of its back-off.
    expect(nextMs).toBeGreaterThanOrEqual(Date.parse(failed.timestamp));
    expect(nextMs).toBeLessThanOrEqual(Date.now() + 3_600_000);
    expect(await list(jobId)).toMatchObject([{ execution_id: id, status: "RETRYING" }]);
    expect(await list(jobId, "")).toEqual([]);
  });

  it("shows the second attempt on the wire behind the first, and at the end as it always was", async () => {
    const second = Promise.withResolvers<void>();
    target.on(hook, ({ attempt }) => (attempt === 1 ? { status: 503 } : { after: second.promise }));
    const jobId = await createJob({ retry: { min_backoff: "0s" } });
    const id = await run(jobId);
    await target.until(() => target.arrivals(hook).length === 2);
    const running = await eventually(
      () => get(id),
      ({ attempts }) => attempts.length === 2,
    );
    expect(running).toMatchObject({ status: "RUNNING", attempt_count: 2 });
    expect(running.attempts).toMatchObject([
      { attempt: 1, status: "FAILED" },
      { attempt: 2, status: "RUNNING" },
    ]);
    second.resolve();
    const ended = await eventually(
      () => get(id),
      ({ status }) => status !== "RUNNING",
    );
    expect(ended).toMatchObject({ status: "SUCCESS", attempt_count: 2 });
    expect(await list(jobId)).toEqual([ended]);
    expect(await list(jobId, "")).toEqual([ended]);
  });

  it("never vanishes, whenever it is looked at", async () => {
    target.on(hook, { delayMs: 5 });
    const jobId = await createJob();
    for (let i = 0; i < 20; i++) {
      const id = await run(jobId);
      const seen: string[] = [];
      while (seen.at(-1) !== "SUCCESS") {
        seen.push((await get(id)).status);
        const listed = await list(jobId, "?include_running=true&page_size=100");
        expect(listed.map(({ execution_id }) => execution_id)).toContain(id);
      }
      expect(seen.filter((status) => status !== "RUNNING" && status !== "SUCCESS")).toEqual([]);
    }
  });

  it("is listed among those that ended, newest first, page by page", async () => {
    const hanging = Promise.withResolvers<void>();
    let calls = 0;
    target.on(hook, () => (calls++ % 2 === 1 ? { after: hanging.promise } : {}));
    const jobId = await createJob({ schedule: "* * * * * *" });
    await target.until(() => calls >= 6);
    const all = await eventually(
      () => list(jobId, "?include_running=true&page_size=100"),
      (executions) => executions.filter(({ status }) => status === "SUCCESS").length >= 3,
    );
    await rest.post(`/jobs/${jobId}:pause`);
    const statuses = new Set(statusesOf(all));
    expect(statuses).toEqual(new Set(["RUNNING", "SUCCESS"]));
    const ids = all.map(({ execution_id }) => execution_id);
    expect(ids).toEqual([...ids].sort().reverse());
    expect(new Set(ids).size).toBe(ids.length);
    const whole = (await list(jobId, "?include_running=true&page_size=100")).map(({ execution_id }) => execution_id);
    const paged: string[] = [];
    for (let token: string | undefined = ""; token !== undefined; ) {
      const { body }: { body: { executions: Shown[]; next_page_token: string } } = await rest.get(
        `/jobs/${jobId}/executions?include_running=true&page_size=2&page_token=${encodeURIComponent(token)}`,
      );
      paged.push(...body.executions.map(({ execution_id }) => execution_id));
      token = body.next_page_token || undefined;
    }
    expect(paged).toEqual(whole);
    expect(new Set(statusesOf(await list(jobId, "")))).toEqual(new Set(["SUCCESS"]));
    hanging.resolve();
  });

  it("is there while no executor takes it, and when the registry and history are killed meanwhile", async () => {
    const jobId = await createJob();
    system.kill("executor", "SIGSTOP");
    try {
      const id = await run(jobId);
      const waiting = {
        execution_id: id,
        status: "RUNNING",
        attempt_count: 0,
        attempts: [],
        message: "waits for an executor",
      };
      await eventually(
        () => list(jobId),
        (executions) => executions.length === 1,
      );
      system.kill("registry");
      system.kill("history");
      const { body } = await eventually(
        () => rest.get(`/executions/${id}`).catch(() => ({ status: 0, body: undefined })),
        ({ status }) => status === 200,
      );
      expect(body).toMatchObject(waiting);
      expect(await list(jobId)).toMatchObject([waiting]);
      system.kill("executor", "SIGCONT");
      await eventually(
        () => get(id),
        ({ status }) => status === "SUCCESS",
      );
    } finally {
      system.kill("executor", "SIGCONT");
    }
  });

  it("goes on when its executor is killed", async () => {
    target.on(hook, { hang: true });
    const jobId = await createJob();
    const id = await run(jobId);
    await target.until(() => target.arrivals(hook).length === 1);
    expect(await get(id)).toMatchObject({ status: "RUNNING", attempt_count: 1 });
    system.kill("executor");
    expect(await get(id)).toMatchObject({ status: "RUNNING" });
    expect(await list(jobId)).toMatchObject([{ execution_id: id, status: "RUNNING" }]);
    target.on(hook, {});
    const ended = await eventually(
      () => get(id),
      ({ status }) => status !== "RUNNING",
    );
    expect(ended.status).toBe("SUCCESS");
  });
});
