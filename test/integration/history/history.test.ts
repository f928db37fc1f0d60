import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { type AttemptResultSchema, HistoryService, ResultBatchSchema } from "../../../gen/carillon/v1/events_pb.ts";
import {
  type Execution,
  ExecutionService,
  ExecutionStatus,
  ExecutionTrigger,
} from "../../../gen/carillon/v1/execution_pb.ts";
import { readHistoryConfig } from "../../../services/history/config.ts";
import { createHistoryMetrics } from "../../../services/history/history-metrics.ts";
import { createRecorder } from "../../../services/history/results/recorder.ts";
import { createHistory, type HistoryParts } from "../../../services/history/service.ts";
import { type Broker, createBroker } from "../../../services/platform/jetstream/broker.ts";
import { createPublisher, type Publisher } from "../../../services/platform/jetstream/publisher.ts";
import { systemClock } from "../../../services/platform/process/clock.ts";
import { createLog } from "../../../services/platform/process/log.ts";
import { createMetrics } from "../../../services/platform/process/metrics.ts";
import { createGrpcClient } from "../../../services/platform/rpc/grpc/grpc-client.ts";
import type { AttemptResult } from "../../../services/wire/attempt-result.ts";
import { ensureStreams, streams } from "../../../services/wire/streams.ts";
import { subjects } from "../../../services/wire/subjects.ts";
import { type HistoryProcess, spawnHistory, startHistoryProcess } from "../../support/history-process.ts";
import { type Nats, startNats } from "../../support/nats.ts";

/** A job id for a name. */
const job = (name: string) => `017f22e2-79b0-7cc3-98c4-${Buffer.from(name).toString("hex").padStart(12, "0")}`;

const deps = { clock: systemClock, log: createLog("test", "silent") };
const { SUCCESS, FAILED, RETRYING } = ExecutionStatus;
const noon = 1_764_000_000;
type ResultInit = MessageInitShape<typeof AttemptResultSchema>;

const resultOf = (jobId: string, second: number, changes: ResultInit = {}): ResultInit => ({
  executionId: `${jobId}-${second}`,
  jobId,
  second: BigInt(second),
  attempt: 1,
  status: SUCCESS,
  final: true,
  sentAtMs: BigInt(second * 1000 + 4),
  durationMs: 7,
  httpStatus: 200,
  trigger: ExecutionTrigger.SCHEDULE,
  ...changes,
});

const encode = (results: ResultInit[]) => toBinary(ResultBatchSchema, create(ResultBatchSchema, { results }));

let nats: Nats;
let broker: Broker;
let publisher: Publisher;
let dataDir: string;

beforeAll(async () => {
  nats = await startNats();
  broker = createBroker({ url: nats.url, name: "test", log: deps.log });
  await broker.start();
  await ensureStreams(broker, deps, { replicas: 1 });
  publisher = createPublisher(broker, deps);
  await publisher.start();
  dataDir = await mkdtemp(join(tmpdir(), "carillon-history-"));
});
afterAll(async () => {
  await publisher.stop();
  await broker.stop();
  await nats.stop();
  await rm(dataDir, { recursive: true, force: true });
});

const publish = (...results: ResultInit[]) => publisher.publish(subjects.results, encode(results));

/**
 * Every message is recorded and acknowledged: an acknowledged one leaves the
 * stream. (The consumer's own counts lag behind the publish.)
 */
const allRecorded = () =>
  vi.waitFor(async () => expect((await broker.jsm.streams.info(streams.results)).state.messages).toBe(0), {
    timeout: 45_000,
    interval: 20,
  });

describe("the history service", () => {
  let history: HistoryParts;
  let metrics: ReturnType<typeof createMetrics>;
  const clientOf = () => createGrpcClient(ExecutionService, { address: history.grpcAddress() }, deps);
  let client: ReturnType<typeof clientOf>;
  let folder = 0;

  const start = async (environment: Record<string, string> = {}) => {
    const config = readHistoryConfig({
      NATS_URL: nats.url,
      CARILLON_DATA_DIR: join(dataDir, String(folder++)),
      CARILLON_HISTORY_GRPC_ADDR: "127.0.0.1:0",
      CARILLON_OPS_ADDR: "127.0.0.1:0",
      ...environment,
    });
    metrics = createMetrics("history");
    history = createHistory(config, { ...deps, metrics });
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
    const watching = await watch(job("a"));
    const refused = { status: FAILED, httpStatus: 0, reason: "CONNECTION_REFUSED", message: "nobody listens" };
    await publish(resultOf(job("a"), noon, { ...refused, final: false }), resultOf(job("b"), noon));
    await allRecorded();
    expect(await client.getExecution({ executionId: `${job("a")}-${noon}` })).toMatchObject({
      status: RETRYING,
      reason: "CONNECTION_REFUSED",
      attemptCount: 1,
    });
    expect((await client.listExecutions({ jobId: job("a") })).executions).toEqual([]);

    await publish(resultOf(job("a"), noon, { attempt: 2, sentAtMs: BigInt(noon * 1000 + 1_250) }));
    const execution = await watching.next();
    expect(execution).toMatchObject({
      executionId: `${job("a")}-${noon}`,
      jobId: job("a"),
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
    expect((await client.listExecutions({ jobId: job("a") })).executions).toEqual([execution]);
    expect(await client.getExecution({ executionId: `${job("a")}-${noon}` })).toEqual(execution);
    watching.close();
  });

  it("streams each execution once, also when its results come again", async () => {
    await start();
    const watching = await watch(job("w"));
    for (let i = 0; i < 20; i++) {
      await publish(resultOf(job("w"), noon + i), resultOf(job("other"), noon + i));
      await publish(resultOf(job("w"), noon + i));
    }
    for (let i = 0; i < 20; i++) expect((await watching.next()).executionId).toBe(`${job("w")}-${noon + i}`);
    await publish(resultOf(job("w"), noon + 99));
    expect((await watching.next()).executionId).toBe(`${job("w")}-${noon + 99}`);
    watching.close();
  });

  it("ends the streams with UNAVAILABLE when it stops, after all that it had recorded", async () => {
    await start();
    const watching = await watch(job("s"));
    await publish(resultOf(job("s"), noon));
    await allRecorded();
    const stopped = history.stop();
    expect((await watching.next()).executionId).toBe(`${job("s")}-${noon}`);
    await expect(watching.next()).rejects.toMatchObject({ code: "UNAVAILABLE" });
    await stopped;
  });

  it("shows the last five unless asked for more, and pages through the rest", async () => {
    await start();
    await publish(...Array.from({ length: 12 }, (_, i) => resultOf(job("p"), noon + i)));
    await publish(resultOf(job("p"), noon + 3, { executionId: `${job("p")}-mabc`, trigger: ExecutionTrigger.MANUAL }));
    await allRecorded();
    const five = await client.listExecutions({ jobId: job("p") });
    expect(five.executions.map(({ executionId }) => executionId)).toEqual(
      [11, 10, 9, 8, 7].map((i) => `${job("p")}-${noon + i}`),
    );
    const ids: string[] = [];
    let pageToken = "";
    do {
      const page = await client.listExecutions({ jobId: job("p"), pageSize: 4, pageToken });
      ids.push(...page.executions.map(({ executionId }) => executionId));
      pageToken = page.nextPageToken;
      await publish(resultOf(job("p"), noon + 100 + ids.length));
      await allRecorded();
    } while (pageToken !== "");
    expect(ids).toEqual([
      ...[11, 10, 9, 8, 7, 6, 5, 4].map((i) => `${job("p")}-${noon + i}`),
      `${job("p")}-mabc`,
      ...[3, 2, 1, 0].map((i) => `${job("p")}-${noon + i}`),
    ]);
    expect(await client.getExecution({ executionId: `${job("p")}-mabc` })).toMatchObject({
      trigger: ExecutionTrigger.MANUAL,
    });
  });

  it("refuses what it cannot answer, with the reason", async () => {
    await start();
    await publish(...Array.from({ length: 7 }, (_, i) => resultOf(job("t"), noon + i)));
    await allRecorded();
    const { nextPageToken } = await client.listExecutions({ jobId: job("t") });
    expect(await client.listExecutions({ jobId: job("nobody") })).toMatchObject({ executions: [], nextPageToken: "" });
    const tokens = [
      { jobId: job("other"), pageToken: nextPageToken },
      { jobId: job("t"), pageToken: "junk" },
    ];
    for (const request of tokens) {
      await expect(client.listExecutions(request)).rejects.toMatchObject({
        code: "INVALID_ARGUMENT",
        fieldViolations: [{ field: "page_token" }],
      });
    }
    for (const executionId of [
      `${job("t")}-${noon + 99}`,
      `${job("t")}-mabc`,
      "x",
      `${job("t")}-0${noon}`,
      `${job("nobody")}-${noon}`,
    ]) {
      await expect(client.getExecution({ executionId })).rejects.toMatchObject({
        code: "NOT_FOUND",
        reason: "EXECUTION_NOT_FOUND",
      });
    }
    await expect(client.listExecutions({ jobId: job("t"), pageSize: 1_001 })).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
    });
    await expect(client.auditJob({ jobId: job("t") })).rejects.toMatchObject({ code: "UNIMPLEMENTED" });
  });

  it("tells executors which executions have a record", async () => {
    await start();
    await publish(resultOf(job("f"), noon), resultOf(job("f"), noon + 1, { status: FAILED, final: false }));
    await publish(resultOf(job("f"), noon, { executionId: `${job("f")}-mabc`, trigger: ExecutionTrigger.MANUAL }));
    await allRecorded();
    const finder = createGrpcClient(HistoryService, { address: history.grpcAddress() }, deps);
    const recorded = [`${job("f")}-${noon}`, `${job("f")}-${noon + 1}`, `${job("f")}-mabc`];
    const executionIds = [
      ...recorded,
      `${job("f")}-${noon + 2}`,
      `${job("f")}-mxyz`,
      `${job("g")}-${noon}`,
      "junk",
      "",
    ];
    expect((await finder.findRecorded({ executionIds })).executionIds).toEqual(recorded);
    finder.close();
  });

  it("is not stopped by messages and results that it cannot read", async () => {
    await start();
    await publisher.publish(subjects.results, new TextEncoder().encode("no batch at all"));
    await publish(resultOf(job("x"), noon, { executionId: "of-another" }), resultOf(job("x"), noon + 1));
    await publish(resultOf(job("x"), noon + 2));
    await allRecorded();
    const { executions } = await client.listExecutions({ jobId: job("x") });
    expect(executions.map(({ executionId }) => executionId)).toEqual([
      `${job("x")}-${noon + 2}`,
      `${job("x")}-${noon + 1}`,
    ]);
  });

  it("lets in nobody without the internal token when there is one", async () => {
    await start({ CARILLON_INTERNAL_TOKEN: "secret" });
    await expect(client.listExecutions({ jobId: job("a") })).rejects.toMatchObject({ code: "UNAUTHENTICATED" });
    const friend = createGrpcClient(ExecutionService, { address: history.grpcAddress(), token: "secret" }, deps);
    expect((await friend.listExecutions({ jobId: job("a") })).executions).toEqual([]);
    friend.close();
  });

  it("is ready, and tells operators what it did", async () => {
    await start();
    await publish(resultOf(job("m"), noon), resultOf(job("m"), noon));
    await allRecorded();
    const { host, port } = history.opsAddress();
    expect((await fetch(`http://${host}:${port}/readyz`)).status).toBe(200);
    const shown = await (await fetch(`http://${host}:${port}/metrics`)).text();
    expect(shown).toMatch(/^carillon_executions_total\{status="SUCCESS",.*\} 1$/m);
    expect(shown).toMatch(/^carillon_results_recorded_total\{.*\} 1$/m);
    expect(shown).toMatch(/^carillon_results_repeated_total\{.*\} 1$/m);
  });
});

describe("the recorder", () => {
  it("takes results again after a commit that failed, and is unhealthy until then", async () => {
    const recorded: number[] = [];
    const health: boolean[] = [];
    const store = {
      record(results: readonly AttemptResult[]) {
        health.push(recorder.healthy());
        if (health.length === 1) throw new Error("the disk is full");
        recorded.push(...results.map(({ second }) => second));
        return { news: results.length, settled: [...results] };
      },
    };
    const settled: AttemptResult[] = [];
    const recorder = createRecorder({
      ...deps,
      broker,
      store,
      metrics: createHistoryMetrics(createMetrics("history")),
      onSettled: (results) => settled.push(...results),
    });
    await recorder.start();
    await publish(resultOf(job("r"), noon), resultOf(job("r"), noon + 1));
    await allRecorded();
    expect(recorded).toEqual([noon, noon + 1]);
    expect(health).toEqual([true, false]);
    expect(recorder.healthy()).toBe(true);
    expect(settled).toHaveLength(2);
    await recorder.stop();
  });
});

describe("the history process", () => {
  let running: HistoryProcess | undefined;
  afterEach(async () => {
    await running?.kill("SIGKILL");
    running = undefined;
  });

  it("that is killed again and again loses no result and doubles none", async () => {
    const place = { natsUrl: nats.url, dataDir: join(dataDir, "killed") };
    const jobs = Array.from({ length: 50 }, (_, i) => `k${i}`);
    const seconds = 120;
    const batches = Array.from({ length: seconds }, (_, i) =>
      encode(
        jobs.flatMap((job, j) => {
          const failed = { status: FAILED, httpStatus: 500, reason: "HTTP_STATUS" };
          const final = resultOf(job, noon + i, j % 5 === 0 ? { ...failed, attempt: 2 } : {});
          return j % 5 === 0 ? [resultOf(job, noon + i, { ...failed, final: false }), final] : [final];
        }),
      ),
    );
    running = await startHistoryProcess(place);
    for (const [i, batch] of batches.entries()) {
      await publisher.publish(subjects.results, batch);
      // At once, so that it dies with this and earlier batches in whatever state they are.
      if (i % 30 === 15) {
        await running.kill("SIGKILL");
        running = await startHistoryProcess(place);
      }
    }
    await allRecorded();

    const client = createGrpcClient(ExecutionService, { address: running.grpcAddress }, deps);
    const everything = async () => {
      const answers: Execution[][] = [];
      for (const jobId of jobs) answers.push((await client.listExecutions({ jobId, pageSize: 1_000 })).executions);
      return answers;
    };
    const recorded = await everything();
    const expected = Array.from({ length: seconds }, (_, i) => noon + seconds - 1 - i);
    for (const [j, executions] of recorded.entries()) {
      expect(executions.map(({ scheduledTime }) => Number(scheduledTime?.seconds))).toEqual(expected);
      expect(executions.every(({ attempts }) => attempts.length === (j % 5 === 0 ? 2 : 1))).toBe(true);
    }

    for (const batch of batches) await publisher.publish(subjects.results, batch);
    await allRecorded();
    expect(await everything()).toEqual(recorded);
    client.close();
    await running.kill("SIGTERM");
    expect(running.child.exitCode).toBe(0);
  });

  it("refuses to listen beyond this machine without a token, and names the variable", async () => {
    const child = spawnHistory({ CARILLON_HISTORY_GRPC_ADDR: "0.0.0.0:0", CARILLON_HISTORY_GRPC_ADR: "x" });
    let output = "";
    child.stdout?.on("data", (chunk) => {
      output += chunk;
    });
    const [code] = await once(child, "close");
    expect(code).toBe(1);
    expect(output).toContain("CARILLON_INTERNAL_TOKEN");
    expect(output).toContain("did you mean CARILLON_HISTORY_GRPC_ADDR?");
  });
});
