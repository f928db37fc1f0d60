import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ExecutionService } from "../../../gen/carillon/v1/execution_pb.ts";
import { systemClock } from "../../../services/platform/process/clock.ts";
import { createGrpcClient } from "../../../services/platform/rpc/grpc/grpc-client.ts";
import { type System, startSystem } from "../../support/system.ts";

describe("a system whose front door asks for a token", () => {
  let system: System;
  beforeAll(async () => {
    system = await startSystem({ env: { CARILLON_API_TOKENS: "s3cret" } });
  });
  afterAll(() => system.stop());

  const post = (path: string, body: object) =>
    fetch(system.httpUrl + path, {
      method: "POST",
      body: JSON.stringify(body),
      headers: { authorization: "Bearer s3cret" },
    });

  it("lets in who has one, and answers with what history keeps", async () => {
    expect((await fetch(`${system.httpUrl}/jobs`)).status).toBe(401);
    const job = { schedule: "@hourly", api_endpoint: "http://127.0.0.1:9/", type: "ATLEAST_ONCE" };
    const { job_id: jobId } = (await (await post("/jobs", job)).json()) as { job_id: string };
    const path = `${system.httpUrl}/jobs/${jobId}/executions`;
    const answer = await fetch(path, { headers: { authorization: "Bearer s3cret" } });
    expect(await answer.json()).toMatchObject({ executions: [] });
  });

  it("does not leave history's own port open, nor lets a user's token in there", async () => {
    for (const token of [undefined, "s3cret"]) {
      const address = system.addresses.grpc.history;
      const client = createGrpcClient(ExecutionService, { address, ...(token && { token }) }, { clock: systemClock });
      await expect(client.listExecutions({ jobId: "any" })).rejects.toMatchObject({ code: "UNAUTHENTICATED" });
      client.close();
    }
  });
});
