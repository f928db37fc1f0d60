import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { eventually, type RestClient, restClient } from "../../support/rest.ts";
import { type System, startSystem } from "../../support/system.ts";
import { startTarget, type Target } from "../../support/target.ts";

describe("a watch over server-sent events that breaks off", () => {
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

  /** What an EventSource does: reads events until it is cut off, and keeps the last id. */
  const watch = async (jobId: string, lastId: string, until: (ids: string[]) => boolean) => {
    const response = await fetch(`${system.httpUrl}/jobs/${jobId}/executions:watch`, {
      headers: { accept: "text/event-stream", ...(lastId !== "" && { "last-event-id": lastId }) },
    });
    expect(response.status).toBe(200);
    const ids: string[] = [];
    let last = lastId;
    let text = "";
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    while (!until(ids)) {
      // The stream of a service that is killed ends, in order or not.
      const read = await reader?.read().catch(() => undefined);
      if (!read || read.done) break;
      const events = (text + read.value).split("\n\n");
      text = events.pop() ?? "";
      for (const event of events) {
        last = /^id: (.*)$/m.exec(event)?.[1] ?? last;
        const data = /^data: (.*)$/m.exec(event)?.[1];
        const { execution_id: id } = JSON.parse(data ?? "{}");
        if (id !== undefined) ids.push(id);
      }
    }
    await reader?.cancel().catch(() => undefined);
    return { ids, last };
  };
  const runOnce = async (jobId: string) => (await rest.post(`/jobs/${jobId}:run`)).body.execution_id as string;
  const ended = (id: string) =>
    eventually(
      () => rest.get(`/executions/${id}`),
      ({ body }) => body.status === "SUCCESS",
    );

  it("misses nothing that ends meanwhile, though history and the front door die and nothing had been told before", async () => {
    target.on("/hook", { status: 200 });
    const job = { schedule: "0 0 1 1 *", type: "ATLEAST_ONCE", api_endpoint: target.url("/hook") };
    const { body } = await rest.post("/jobs", job);
    const jobId: string = body.job_id;
    // The begin alone is a place to go on from.
    let { last } = await cutOff(jobId);
    const runs: string[] = [];
    const seen: string[] = [];
    for (const victim of ["history", "registry"] as const) {
      runs.push(await runOnce(jobId), await runOnce(jobId));
      for (const id of runs) await ended(id);
      const pid = system.pidOf(victim);
      system.kill(victim);
      await eventually(
        async () => {
          try {
            return system.pidOf(victim);
          } catch {
            return pid;
          }
        },
        (now) => now !== pid,
      );
      await eventually(
        () => rest.get("/readyz").catch(() => ({ status: 0 })),
        ({ status }) => status === 200,
      );
      runs.push(await runOnce(jobId));
      const part = await watch(jobId, last, (ids) => runs.every((id) => [...seen, ...ids].includes(id)));
      seen.push(...part.ids);
      last = part.last;
    }
    expect(seen.toSorted()).toEqual(runs.toSorted());
  });

  /** Reads the first block, which is a bookmark, and goes. */
  const cutOff = async (jobId: string) => {
    const leave = new AbortController();
    const response = await fetch(`${system.httpUrl}/jobs/${jobId}/executions:watch`, { signal: leave.signal });
    let text = "";
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    while (!text.includes("\n\n")) text += (await reader?.read())?.value ?? "";
    leave.abort();
    return { last: /^id: (.*)\n\n/.exec(text)?.[1] ?? "" };
  };
});
