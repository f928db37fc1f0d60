import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { HistoryService } from "../../../gen/carillon/v1/events_pb.ts";
import {
  type Execution,
  ExecutionService,
  ExecutionStatus,
  ExecutionTrigger,
} from "../../../gen/carillon/v1/execution_pb.ts";
import { readHistoryConfig } from "../../../services/history/config.ts";
import { createHistory } from "../../../services/history/service.ts";
import { systemClock, systemRandom } from "../../../services/platform/process/clock.ts";
import { createLog } from "../../../services/platform/process/log.ts";
import { createMetrics } from "../../../services/platform/process/metrics.ts";
import type { Service } from "../../../services/platform/process/service.ts";
import { createGrpcClient } from "../../../services/platform/rpc/grpc/grpc-client.ts";
import { subjects } from "../../../services/wire/subjects.ts";
import { noon } from "../../support/history-results.ts";
import { type HistoryRig, startHistoryRig, wireResult } from "../../support/history-rig.ts";
import { jobNamed } from "../../support/job-ids.ts";

const deps = { clock: systemClock, log: createLog("test", "silent") };
const { SUCCESS, FAILED, RETRYING, SKIPPED_PAUSED } = ExecutionStatus;

let rig: HistoryRig;

beforeAll(async () => {
  rig = await startHistoryRig();
});
afterAll(() => rig.stop());

describe("the history service", () => {
  let history: Service;
  let metrics: ReturnType<typeof createMetrics>;
  const clientOf = () => createGrpcClient(ExecutionService, { address: history.addresses().grpc }, deps);
  let client: ReturnType<typeof clientOf>;
  let folder = 0;

  const start = async (environment: Record<string, string> = {}) => {
    const config = readHistoryConfig({
      NATS_URL: rig.nats.url,
      CARILLON_DATA_DIR: join(rig.dataDir, String(folder++)),
      CARILLON_HISTORY_GRPC_ADDR: "127.0.0.1:0",
      CARILLON_OPS_ADDR: "127.0.0.1:0",
      // What is recorded here is long past.
      CARILLON_HISTORY_RETENTION: "36500d",
      ...environment,
    });
    metrics = createMetrics("history");
    history = createHistory(config, { ...deps, random: systemRandom, metrics });
    await history.start();
    client = clientOf();
  };
  afterEach(async () => {
    client.close();
    await history.stop();
  });

  /** Opens a watch; it stands once the promise resolves. */
  const watch = async (jobId: string) => {
    const abort = new AbortController();
    const executions = client.watchExecutions({ jobId }, { signal: abort.signal })[Symbol.asyncIterator]();
    // The call goes out with the first question.
    let first: Promise<IteratorResult<Execution>> | undefined = executions.next();
    first.catch(() => undefined);
    await vi.waitFor(async () => expect(await metrics.metrics()).toMatch(/^carillon_watchers\{.*\} 1$/m));
    return {
      async next(): Promise<Execution> {
        const result = await (first ?? executions.next());
        first = undefined;
        if (result.done) throw new Error("the watch ended");
        return result.value;
      },
      close: () => abort.abort(),
    };
  };

  it("lists, gets and streams what was published, as the API shows it", async () => {
    await start();
    const watching = await watch(jobNamed("a"));
    const refused = { status: FAILED, httpStatus: 0, reason: "CONNECTION_REFUSED", message: "nobody listens" };
    await rig.publish(wireResult(jobNamed("a"), noon, { ...refused, final: false }), wireResult(jobNamed("b"), noon));
    await rig.allRecorded();
    expect(await client.getExecution({ executionId: `${jobNamed("a")}-${noon}` })).toMatchObject({
      status: RETRYING,
      reason: "CONNECTION_REFUSED",
      attemptCount: 1,
    });
    expect((await client.listExecutions({ jobId: jobNamed("a") })).executions).toEqual([]);

    await rig.publish(wireResult(jobNamed("a"), noon, { attempt: 2, sentAtMs: BigInt(noon * 1000 + 1_250) }));
    const execution = await watching.next();
    expect(execution).toMatchObject({
      executionId: `${jobNamed("a")}-${noon}`,
      jobId: jobNamed("a"),
      timestamp: { seconds: BigInt(noon + 1), nanos: 250_000_000 },
      scheduledTime: { seconds: BigInt(noon), nanos: 0 },
      status: SUCCESS,
      httpStatus: 200,
      durationMs: 7,
      attemptCount: 2,
      reason: "",
      trigger: ExecutionTrigger.SCHEDULE,
    });
    expect(execution.attempts).toMatchObject([
      { attempt: 1, status: FAILED, reason: "CONNECTION_REFUSED", message: "nobody listens" },
      { attempt: 2, status: SUCCESS, httpStatus: 200 },
    ]);
    expect(execution.attempts[0]?.httpStatus).toBeUndefined();
    // Only a stream has places.
    const { resumeToken, ...kept } = execution;
    expect(resumeToken).toMatch(/^[\w-]{20,}$/);
    expect((await client.listExecutions({ jobId: jobNamed("a") })).executions).toEqual([kept]);
    expect(await client.getExecution({ executionId: `${jobNamed("a")}-${noon}` })).toEqual(kept);
    watching.close();
  });

  it("streams each execution once, also when its results come again", async () => {
    await start();
    const watching = await watch(jobNamed("w"));
    for (let i = 0; i < 20; i++) {
      await rig.publish(wireResult(jobNamed("w"), noon + i), wireResult(jobNamed("other"), noon + i));
      await rig.publish(wireResult(jobNamed("w"), noon + i));
    }
    for (let i = 0; i < 20; i++) expect((await watching.next()).executionId).toBe(`${jobNamed("w")}-${noon + i}`);
    await rig.publish(wireResult(jobNamed("w"), noon + 99));
    expect((await watching.next()).executionId).toBe(`${jobNamed("w")}-${noon + 99}`);
    watching.close();
  });

  it("streams and counts it once more when a call was made of what had been skipped", async () => {
    await start();
    const watching = await watch(jobNamed("o"));
    const skip = { status: SKIPPED_PAUSED, attempt: 0, httpStatus: 0, reason: "JOB_PAUSED" };
    await rig.publish(wireResult(jobNamed("o"), noon, skip));
    expect(await watching.next()).toMatchObject({ status: SKIPPED_PAUSED, attemptCount: 0 });
    await rig.publish(wireResult(jobNamed("o"), noon));
    expect(await watching.next()).toMatchObject({ status: SUCCESS, attemptCount: 1 });
    // An attempt beside the one that decided it changes nothing of how it ended.
    await rig.publish(wireResult(jobNamed("o"), noon, { attempt: 2, final: false, status: FAILED }));
    await rig.publish(wireResult(jobNamed("o"), noon + 1));
    expect((await watching.next()).executionId).toBe(`${jobNamed("o")}-${noon + 1}`);
    watching.close();
    const shown = await metrics.metrics();
    expect(shown).toMatch(/^carillon_executions_total\{status="SUCCESS",.*\} 2$/m);
    expect(shown).toMatch(/^carillon_executions_total\{status="SKIPPED_PAUSED",.*\} 1$/m);
    expect(shown).toMatch(/^carillon_executions_revised_total\{status="SKIPPED_PAUSED",.*\} 1$/m);
    expect(shown).not.toMatch(/^carillon_executions_revised_total\{status="SUCCESS"/m);
  });

  it("goes on with a stream behind its token, with what ended while the client, and history itself, were away", async () => {
    await start();
    const watching = await watch(jobNamed("g"));
    await rig.publish(wireResult(jobNamed("g"), noon, { final: false, status: FAILED }));
    await rig.publish(wireResult(jobNamed("g"), noon + 60));
    const { resumeToken = "" } = await watching.next();
    watching.close();
    // The first ends last: it is the ending that counts, not the second.
    await rig.publish(wireResult(jobNamed("g"), noon + 61));
    await rig.publish(wireResult(jobNamed("g"), noon, { attempt: 2 }));
    await rig.allRecorded();
    client.close();
    await history.stop();
    folder--;
    const restarted = start();
    await rig.publish(wireResult(jobNamed("g"), noon + 62));
    await restarted;
    await rig.allRecorded();
    const ids: string[] = [];
    for await (const one of client.watchExecutions({ jobId: jobNamed("g"), resumeToken, bookmarks: true })) {
      if (one.executionId === "") {
        expect(one).toEqual({ ...one, jobId: "", attempts: [], resumeToken: expect.stringMatching(/^[\w-]{20,}$/) });
        break;
      }
      ids.push(one.executionId);
    }
    expect(ids).toEqual([61, 0, 62].map((i) => `${jobNamed("g")}-${noon + i}`));
    const wrong = client.watchExecutions({ jobId: jobNamed("other"), resumeToken })[Symbol.asyncIterator]();
    await expect(wrong.next()).rejects.toMatchObject({ reason: "RESUME_TOKEN_INVALID" });
  });

  it("ends the streams with UNAVAILABLE when it stops, after all that it had recorded", async () => {
    await start();
    const watching = await watch(jobNamed("s"));
    await rig.publish(wireResult(jobNamed("s"), noon));
    await rig.allRecorded();
    const stopped = history.stop();
    expect((await watching.next()).executionId).toBe(`${jobNamed("s")}-${noon}`);
    await expect(watching.next()).rejects.toMatchObject({ code: "UNAVAILABLE" });
    await stopped;
  });

  it("shows the last five unless asked for more, and pages through the rest", async () => {
    await start();
    await rig.publish(...Array.from({ length: 12 }, (_, i) => wireResult(jobNamed("p"), noon + i)));
    await rig.publish(
      wireResult(jobNamed("p"), noon + 3, { executionId: `${jobNamed("p")}-mabc`, trigger: ExecutionTrigger.MANUAL }),
    );
    await rig.allRecorded();
    const five = await client.listExecutions({ jobId: jobNamed("p") });
    expect(five.executions.map(({ executionId }) => executionId)).toEqual(
      [11, 10, 9, 8, 7].map((i) => `${jobNamed("p")}-${noon + i}`),
    );
    const ids: string[] = [];
    let pageToken = "";
    do {
      const page = await client.listExecutions({ jobId: jobNamed("p"), pageSize: 4, pageToken });
      ids.push(...page.executions.map(({ executionId }) => executionId));
      pageToken = page.nextPageToken;
      await rig.publish(wireResult(jobNamed("p"), noon + 100 + ids.length));
      await rig.allRecorded();
    } while (pageToken !== "");
    expect(ids).toEqual([
      ...[11, 10, 9, 8, 7, 6, 5, 4].map((i) => `${jobNamed("p")}-${noon + i}`),
      `${jobNamed("p")}-mabc`,
      ...[3, 2, 1, 0].map((i) => `${jobNamed("p")}-${noon + i}`),
    ]);
    expect(await client.getExecution({ executionId: `${jobNamed("p")}-mabc` })).toMatchObject({
      trigger: ExecutionTrigger.MANUAL,
    });
  });

  it("refuses what it cannot answer, with the reason", async () => {
    await start();
    await rig.publish(...Array.from({ length: 7 }, (_, i) => wireResult(jobNamed("t"), noon + i)));
    await rig.allRecorded();
    const { nextPageToken } = await client.listExecutions({ jobId: jobNamed("t") });
    expect(await client.listExecutions({ jobId: jobNamed("nobody") })).toMatchObject({
      executions: [],
      nextPageToken: "",
    });
    const tokens = [
      { jobId: jobNamed("other"), pageToken: nextPageToken },
      { jobId: jobNamed("t"), pageToken: "junk" },
    ];
    for (const request of tokens) {
      await expect(client.listExecutions(request)).rejects.toMatchObject({
        code: "INVALID_ARGUMENT",
        fieldViolations: [{ field: "page_token" }],
      });
    }
    for (const executionId of [
      `${jobNamed("t")}-${noon + 99}`,
      `${jobNamed("t")}-mabc`,
      "x",
      `${jobNamed("t")}-0${noon}`,
      `${jobNamed("nobody")}-${noon}`,
    ]) {
      await expect(client.getExecution({ executionId })).rejects.toMatchObject({
        code: "NOT_FOUND",
        reason: "EXECUTION_NOT_FOUND",
      });
    }
    await expect(client.listExecutions({ jobId: jobNamed("t"), pageSize: -1 })).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
    });
    await expect(client.auditJob({ jobId: jobNamed("t") })).rejects.toMatchObject({ code: "UNIMPLEMENTED" });
  });

  it("tells executors which executions have a record", async () => {
    await start();
    await rig.publish(
      wireResult(jobNamed("f"), noon),
      wireResult(jobNamed("f"), noon + 1, { status: FAILED, final: false }),
    );
    await rig.publish(
      wireResult(jobNamed("f"), noon, { executionId: `${jobNamed("f")}-mabc`, trigger: ExecutionTrigger.MANUAL }),
    );
    await rig.allRecorded();
    const finder = createGrpcClient(HistoryService, { address: history.addresses().grpc }, deps);
    const recorded = [`${jobNamed("f")}-${noon}`, `${jobNamed("f")}-${noon + 1}`, `${jobNamed("f")}-mabc`];
    const executionIds = [
      ...recorded,
      `${jobNamed("f")}-${noon + 2}`,
      `${jobNamed("f")}-mxyz`,
      `${jobNamed("g")}-${noon}`,
      "junk",
      "",
    ];
    expect((await finder.findRecorded({ executionIds })).executionIds).toEqual(recorded);
    finder.close();
  });

  it("tells which attempts need not be made any more", async () => {
    await start();
    const failed = { status: FAILED, httpStatus: 500, reason: "HTTP_STATUS", message: "the target answered 500" };
    await rig.publish(
      wireResult(jobNamed("w"), noon, { ...failed, final: false }),
      wireResult(jobNamed("d"), noon, { ...failed, final: false }),
      wireResult(jobNamed("d"), noon, { ...failed, attempt: 2 }),
      wireResult(jobNamed("s"), noon),
    );
    await rig.allRecorded();
    const finder = createGrpcClient(HistoryService, { address: history.addresses().grpc }, { clock: systemClock });
    const made = async (name: string, attempt: number, redriven = false) => {
      const executionId = `${jobNamed(name)}-${noon}`;
      const { executionIds } = await finder.findMade({ attempts: [{ executionId, attempt, redriven }] });
      return executionIds.length === 1;
    };
    // It waits for its second attempt.
    expect([await made("w", 1), await made("w", 2)]).toEqual([true, false]);
    // Dead, and made again only when it was redriven.
    expect([await made("d", 2), await made("d", 3), await made("d", 3, true), await made("d", 2, true)]).toEqual([
      true,
      true,
      false,
      true,
    ]);
    expect([await made("s", 2), await made("s", 2, true), await made("n", 2)]).toEqual([true, true, false]);
    expect((await finder.findMade({ attempts: [{ executionId: "junk", attempt: 2 }] })).executionIds).toEqual([]);
    const many = Array.from({ length: 1_001 }, () => ({ executionId: "junk", attempt: 2 }));
    await expect(finder.findMade({ attempts: many })).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    finder.close();
  });

  it("is not stopped by messages and results that it cannot read", async () => {
    await start();
    await rig.publisher.publish(subjects.results, new TextEncoder().encode("no batch at all"));
    await rig.publish(
      wireResult(jobNamed("x"), noon, { executionId: "of-another" }),
      wireResult(jobNamed("x"), noon + 1),
    );
    await rig.publish(wireResult(jobNamed("x"), noon + 2));
    await rig.allRecorded();
    const { executions } = await client.listExecutions({ jobId: jobNamed("x") });
    expect(executions.map(({ executionId }) => executionId)).toEqual([
      `${jobNamed("x")}-${noon + 2}`,
      `${jobNamed("x")}-${noon + 1}`,
    ]);
  });

  it("lets in nobody without the internal token when there is one", async () => {
    await start({ CARILLON_INTERNAL_TOKEN: "secret" });
    await expect(client.listExecutions({ jobId: jobNamed("a") })).rejects.toMatchObject({ code: "UNAUTHENTICATED" });
    const friend = createGrpcClient(ExecutionService, { address: history.addresses().grpc, token: "secret" }, deps);
    expect((await friend.listExecutions({ jobId: jobNamed("a") })).executions).toEqual([]);
    friend.close();
  });

  it("is ready, and tells operators what it did", async () => {
    await start();
    await rig.publish(wireResult(jobNamed("m"), noon), wireResult(jobNamed("m"), noon));
    await rig.allRecorded();
    const { host, port } = history.addresses().ops;
    expect((await fetch(`http://${host}:${port}/readyz`)).status).toBe(200);
    const shown = await (await fetch(`http://${host}:${port}/metrics`)).text();
    expect(shown).toMatch(/^carillon_executions_total\{status="SUCCESS",.*\} 1$/m);
    expect(shown).toMatch(/^carillon_results_recorded_total\{.*\} 1$/m);
    expect(shown).toMatch(/^carillon_results_repeated_total\{.*\} 1$/m);
  });
});
