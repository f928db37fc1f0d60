import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ExecutionStatus } from "../../gen/carillon/v1/execution_pb.ts";
import { JobState } from "../../gen/carillon/v1/job_pb.ts";
import { systemClock } from "../../services/platform/process/clock.ts";
import { createHttpServer, type HttpServer } from "../../services/platform/rpc/front-door/http-server.ts";
import { createGrpcServer, type GrpcServer } from "../../services/platform/rpc/grpc/grpc-server.ts";
import { type Caller, createCallers } from "../support/faces-callers.ts";
import { job, refusals } from "../support/faces-refusals.ts";
import { createFakeBackend, type FakeBackend } from "../support/faces-service.ts";

// One table of calls, through each way in: what a client learns must not depend
// on how it asked.

const token = "s3cret";
let backend: FakeBackend;
let grpc: GrpcServer;
let http: HttpServer;

beforeAll(async () => {
  backend = createFakeBackend({ tokens: [token] });
  const common = { log: pino({ level: "silent" }), clock: systemClock };
  const address = { host: "127.0.0.1", port: 0 };
  const { services, pipeline } = backend;
  const metrics = async () => ({ contentType: "text/plain", body: await backend.metrics.metrics() });
  grpc = createGrpcServer({ address }, { services, ...common });
  http = createHttpServer({ address }, { services, pipeline, probes: { conditions: () => [], metrics }, ...common });
  await grpc.start();
  await http.start();
});

afterAll(async () => {
  await http.stop();
  await grpc.stop();
});

async function withCaller<T>(
  name: string,
  presented: string | undefined,
  use: (caller: Caller) => Promise<T>,
): Promise<T> {
  const callers = createCallers(grpc.address(), http.address(), presented);
  try {
    const caller = callers.find((candidate) => candidate.name === name);
    if (!caller) throw new Error(`no caller is named ${name}`);
    return await use(caller);
  } finally {
    for (const caller of callers) caller.close();
  }
}

const faces = [
  "gRPC",
  "Connect JSON",
  "Connect binary",
  "gRPC-Web",
  "gRPC over HTTP",
  "Connect over HTTP/2",
  "gRPC-Web over HTTP/2",
  "REST",
];
describe.each(faces)("%s", (face) => {
  test.each(refusals)("$name is refused as on each face", async ({
    call,
    code,
    reason,
    violations,
    restViolations,
  }) => {
    const error = await withCaller(face, token, call).then(
      () => "it was accepted",
      (refusal) => refusal,
    );
    const { code: actualCode, reason: actualReason, fieldViolations } = error;
    expect({ code: actualCode, reason: actualReason, fieldViolations }).toEqual({
      code,
      reason,
      fieldViolations: (face === "REST" ? restViolations : undefined) ?? violations ?? [],
    });
    if (code !== "INTERNAL") return;
    // The cause is for the log, where the id leads to it.
    const errorId = error.metadata.error_id;
    expect(error.message).toBe(`internal error (${errorId})`);
    expect(backend.errors.map((logged) => logged.errorId)).toContain(errorId);
  });

  test("a call without a token is refused", async () => {
    const refused = withCaller(face, undefined, ({ jobs }) => jobs.listJobs({}));
    await expect(refused).rejects.toMatchObject({ code: "UNAUTHENTICATED", reason: "CREDENTIALS_MISSING" });
  });

  test("a job comes back as it was sent", async () => {
    const labels = { team: "größe", "a.b/c": "" };
    const created = await withCaller(face, token, ({ jobs }) =>
      jobs.createJob({
        job: { ...job, labels, http: { body: "" }, retry: { minBackoff: { seconds: 1n, nanos: 500_000_000 } } },
      }),
    );
    expect(created).toMatchObject({
      ...job,
      labels,
      http: { body: "" },
      retry: { minBackoff: { seconds: 1n, nanos: 500_000_000 } },
      createdAt: { seconds: 1_796_115_600n, nanos: 250_000_000 },
      state: JobState.ACTIVE,
    });
    expect(created.retry?.maxAttempts).toBeUndefined();
  });

  test("an empty answer, a list and a custom method arrive", async () => {
    await withCaller(face, token, async ({ jobs, executions }) => {
      const { jobId } = await jobs.createJob({ job });
      expect((await jobs.pauseJob({ jobId })).state).toBe(JobState.PAUSED);
      expect((await executions.listExecutions({ jobId })).executions).toMatchObject([
        { jobId, status: ExecutionStatus.SUCCESS, httpStatus: 200, durationMs: 12 },
      ]);
      expect((await jobs.previewSchedule({ schedule: "x", count: 2 })).occurrences).toHaveLength(2);
      expect(await jobs.deleteJob({ jobId })).toEqual({ $typeName: "google.protobuf.Empty" });
    });
  });

  test("filters and lists of ids arrive, with a job in the path and without", async () => {
    await withCaller(face, token, async ({ dead }) => {
      const jobId = "j-1";
      const [startTime, endTime] = [
        { seconds: 5n, nanos: 0 },
        { seconds: 6n, nanos: 500_000_000 },
      ];
      const filters = { reason: "TIMEOUT", startTime, endTime, pageSize: 7, pageToken: "t" };
      const expected = { reason: "TIMEOUT", timestamp: startTime, deathTime: endTime, attemptCount: 7, message: "t" };
      expect(await dead.listDeadExecutions({ jobId, ...filters })).toMatchObject({
        deadExecutions: [{ jobId, ...expected }],
        nextPageToken: "next",
      });
      expect((await dead.listDeadExecutions(filters)).deadExecutions).toMatchObject([{ jobId: "", ...expected }]);
      const request = { executionIds: ["a", "b"], maxCount: 9, pageToken: "t" };
      const counts = { redrivenCount: 2, skippedPausedCount: 9, skippedDeletedCount: 0 };
      expect(await dead.redriveExecutions({ jobId, ...request })).toMatchObject({ ...counts, nextPageToken: "j-1t" });
      expect(await dead.redriveExecutions(request)).toMatchObject({ ...counts, nextPageToken: "t" });
    });
  });

  test("a stream arrives whole and in order", async () => {
    const ids = await withCaller(face, token, async ({ jobs, executions }) => {
      const { jobId } = await jobs.createJob({ job: { ...job, displayName: "three" } });
      const seen: string[] = [];
      for await (const { executionId } of executions.watchExecutions({ jobId }))
        seen.push(executionId.slice(jobId.length));
      return seen;
    });
    expect(ids).toEqual(["-1", "-2", "-3"]);
  });

  test("a cancelled stream ends at both sides", async () => {
    const watched = await withCaller(face, token, async ({ jobs, executions }) => {
      const { jobId } = await jobs.createJob({ job });
      const cancel = new AbortController();
      const watching = (async () => {
        let count = 0;
        for await (const _ of executions.watchExecutions({ jobId }, { signal: cancel.signal })) {
          if (++count === 3) cancel.abort();
        }
      })();
      await expect(watching).rejects.toMatchObject({ code: "CANCELLED" });
      return jobId;
    });
    await backend.watchEnded(watched);
  });
});

describe("what only a hand-made request can say", () => {
  const post = async (path: string, body: string, contentType = "application/json") => {
    const response = await fetch(`http://127.0.0.1:${http.address().port}${path}`, {
      method: "POST",
      headers: { "content-type": contentType, authorization: `Bearer ${token}` },
      body,
    });
    // biome-ignore lint/suspicious/noExplicitAny: whatever it answered
    const json: any = await response.json();
    return { status: response.status, json };
  };
  const cases: [string, string, string, string, string][] = [
    ["an unknown field", '"shedule":"x"', "UNKNOWN_FIELD", "shedule", "unknown field; did you mean schedule?"],
    ["the same field twice", '"schedule":"bad","schedule":"@yearly"', "DUPLICATE_FIELD", "schedule", "is there twice"],
    ["a wrong type", '"schedule":5', "WRONG_TYPE", "schedule", "expected a string, got the number 5"],
    [
      "a wrong enum value",
      '"type":"TWICE"',
      "WRONG_TYPE",
      "type",
      'expected one of ATLEAST_ONCE, got the string "TWICE"',
    ],
  ];

  test.each(
    cases,
  )("%s gets the same answer from REST and from Connect JSON", async (_, member, reason, field, description) => {
    const rest = await post("/jobs", `{${member}}`);
    expect(rest.status).toBe(400);
    expect(rest.json.error.details[0].reason).toBe(reason);
    expect(rest.json.error.details[1].field_violations).toEqual([{ field, description }]);
    const connect = await post("/carillon.v1.JobService/CreateJob", `{"job":{${member}}}`);
    expect(connect.status).toBe(400);
    expect(connect.json).toMatchObject({ code: "invalid_argument", message: `job.${field}: ${description}` });
    expect(connect.json.details[0]).toMatchObject({ type: "google.rpc.ErrorInfo", debug: { reason } });
    expect(connect.json.details[1].debug.fieldViolations).toMatchObject([{ field: `job.${field}`, description }]);
  });

  test("Connect JSON takes what REST takes, and answers as Connect clients expect", async () => {
    const body = '{"job":{"schedule":"@hourly","api_endpoint":"http://x/","type":"ATLEAST_ONCE"}}';
    for (const contentType of ["application/json", "application/x-www-form-urlencoded"]) {
      const { status, json } = await post("/carillon.v1.JobService/CreateJob", body, contentType);
      expect(status).toBe(200);
      expect(json).toMatchObject({ apiEndpoint: "http://x/", type: "JOB_TYPE_ATLEAST_ONCE", displayName: "" });
    }
  });

  test("an unknown method of a known service is told in Connect's way", async () => {
    const { status, json } = await post("/carillon.v1.JobService/Nope", "{}");
    expect([status, json.code]).toEqual([404, "unimplemented"]);
  });
});
