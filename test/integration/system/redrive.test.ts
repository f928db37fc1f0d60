import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { eventually, type RestClient, restClient } from "../../support/rest.ts";
import { type System, startSystem } from "../../support/system.ts";
import { startTarget, type Target } from "../../support/target.ts";

describe("dead executions in the whole system", () => {
  let system: System;
  let target: Target;
  let rest: RestClient;

  beforeAll(async () => {
    target = await startTarget();
    system = await startSystem();
    rest = restClient(system.httpUrl);
  });
  afterAll(async () => {
    await system.stop();
    await target.stop();
  });

  it("are listed, redriven once their target is well, and succeed in history behind their old attempts", async () => {
    target.on("/hook", { status: 500 });
    const job = { schedule: "0 0 1 1 *", type: "ATLEAST_ONCE", api_endpoint: target.url("/hook") };
    const { body } = await rest.post("/jobs", { ...job, retry: { min_backoff: "0s" } });
    const dead = `/jobs/${body.job_id}/dead-executions`;
    const runs = await Promise.all([1, 2, 3].map(() => rest.post(`/jobs/${body.job_id}:run`)));
    const ids: string[] = runs.map((run) => run.body.execution_id).sort();
    const { body: list } = await eventually(
      () => rest.get(dead),
      (answer) => answer.body.dead_executions.length === 3,
    );
    expect(list.dead_executions.map((one: { execution_id: string }) => one.execution_id).sort()).toEqual(ids);
    expect(list.dead_executions[0]).toMatchObject({ attempt_count: 2, http_status: 500, reason: "HTTP_STATUS" });
    const before = await eventually(
      () => rest.get(`/executions/${ids[0]}`),
      (answer) => answer.body.status === "FAILED",
    );
    expect(before.body.attempts).toHaveLength(2);

    target.on("/hook", (arrival) => ({ status: arrival.attempt === 3 ? 503 : 200 }));
    expect(await rest.post(`${dead}:redrive`, { reason: "HTTP_STATUS" })).toMatchObject({
      status: 200,
      body: { redriven_count: 3, skipped_paused_count: 0, skipped_deleted_count: 0, next_page_token: "" },
    });
    for (const id of ids) {
      const { body: execution } = await eventually(
        () => rest.get(`/executions/${id}`),
        (answer) => answer.body.status === "SUCCESS",
      );
      expect(execution).toMatchObject({ attempt_count: 4, http_status: 200, reason: "" });
      expect(execution.attempts.map((one: { http_status: number }) => one.http_status)).toEqual([500, 500, 503, 200]);
      const attempts = target.arrivals("/hook").filter(({ executionId }) => executionId === id);
      expect(attempts.map(({ attempt }) => attempt)).toEqual([1, 2, 3, 4]);
      expect(new Set(attempts.map(({ headers }) => headers["idempotency-key"]))).toEqual(new Set([id]));
    }
    expect((await rest.get(dead)).body).toMatchObject({ dead_executions: [] });
    const { body: listed } = await rest.get(`/jobs/${body.job_id}/executions`);
    expect(listed.executions.map((one: { status: string }) => one.status)).toEqual(["SUCCESS", "SUCCESS", "SUCCESS"]);
  });
});
