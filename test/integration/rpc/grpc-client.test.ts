import { once } from "node:events";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ExecutionService } from "../../../gen/carillon/v1/execution_pb.ts";
import { systemClock } from "../../../services/platform/process/clock.ts";
import { createLog } from "../../../services/platform/process/log.ts";
import { createMetrics } from "../../../services/platform/process/metrics.ts";
import { bindService, createCallPipeline } from "../../../services/platform/rpc/binding.ts";
import { createGrpcClient, type GrpcClient } from "../../../services/platform/rpc/grpc/grpc-client.ts";
import { createGrpcServer, type GrpcServer } from "../../../services/platform/rpc/grpc/grpc-server.ts";
import { type HeldConnection, holdConnection } from "../../support/held-connection.ts";

const log = createLog("test", "silent");

describe("a client of a server whose machine is replaced", { timeout: 60_000 }, () => {
  let server: GrpcServer;
  let way: HeldConnection;
  let client: GrpcClient<typeof ExecutionService>;
  let slow: PromiseWithResolvers<void>;
  let watched: PromiseWithResolvers<void>;

  beforeEach(async () => {
    slow = Promise.withResolvers();
    watched = Promise.withResolvers();
    const pipeline = createCallPipeline({ tokens: [] }, { metrics: createMetrics("history"), log, clock: systemClock });
    const handlers = {
      listExecutions: () => ({ executions: [] }),
      async getExecution({ executionId }: { executionId: string }) {
        if (executionId === "slow") await slow.promise;
        return { executionId };
      },
      async *watchExecutions(_: unknown, context: { signal: AbortSignal; open(): void }) {
        context.open();
        watched.resolve();
        yield { executionId: "first" };
        await once(context.signal, "abort");
      },
      auditJob: () => ({}),
    };
    server = createGrpcServer(
      { address: { host: "127.0.0.1", port: 0 }, drainMs: 100 },
      { services: [bindService(ExecutionService, handlers, pipeline)], log, clock: systemClock },
    );
    await server.start();
    way = await holdConnection("127.0.0.1", server.address().port);
    client = createGrpcClient(
      ExecutionService,
      { address: { host: "127.0.0.1", port: way.port }, quietMs: 1_000 },
      { clock: systemClock },
    );
  });
  afterEach(async () => {
    slow.resolve();
    client.close();
    await way.stop();
    await server.stop();
  });

  const get = (executionId: string, timeoutMs: number) => client.getExecution({ executionId }, { timeoutMs });

  it("connects anew once a call had no answer, when the connection tells nothing", async () => {
    expect(await get("a", 5_000)).toMatchObject({ executionId: "a" });
    way.silence();
    await expect(get("b", 1_000)).rejects.toMatchObject({
      code: expect.stringMatching(/DEADLINE_EXCEEDED|UNAVAILABLE/),
    });
    expect(await get("c", 5_000)).toMatchObject({ executionId: "c" });
  });

  it("ends a stream, which has no deadline, when nobody is there any more", async () => {
    const executions = client.watchExecutions({ jobId: "x" })[Symbol.asyncIterator]();
    expect(await executions.next()).toMatchObject({ value: { executionId: "first" } });
    await watched.promise;
    way.silence();
    await expect(executions.next()).rejects.toMatchObject({ code: "UNAVAILABLE" });
    expect(await get("c", 5_000)).toMatchObject({ executionId: "c" });
  });

  it("keeps its connection, and what is under way on it, where a server is slow and answers others", async () => {
    const waiting = get("slow", 30_000);
    const late = get("slow", 300);
    while (
      !(await Promise.race([
        late.then(
          () => true,
          () => true,
        ),
        get("quick", 5_000).then(() => false),
      ]))
    );
    await expect(late).rejects.toMatchObject({ code: "DEADLINE_EXCEEDED" });
    expect(way.connections()).toBe(1);
    slow.resolve();
    expect(await waiting).toMatchObject({ executionId: "slow" });
  });

  it("keeps its connection where callers leave it no time for an answer", async () => {
    expect(await get("a", 5_000)).toMatchObject({ executionId: "a" });
    for (let i = 0; i < 5; i++) await expect(get("slow", 20)).rejects.toMatchObject({ code: "DEADLINE_EXCEEDED" });
    expect(await get("quick", 5_000)).toMatchObject({ executionId: "quick" });
    expect(way.connections()).toBe(1);
  });

  it("loses nothing that is under way where a slow server answers nobody for a while", async () => {
    const waiting = get("slow", 30_000);
    await expect(get("slow", 700)).rejects.toMatchObject({ code: "DEADLINE_EXCEEDED" });
    expect(await get("quick", 5_000)).toMatchObject({ executionId: "quick" });
    slow.resolve();
    expect(await waiting).toMatchObject({ executionId: "slow" });
  });
});
