import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Job } from "../../gen/carillon/v1/job_pb.ts";
import { DstPolicy, HttpMethod, JobState, OverlapPolicy } from "../../gen/carillon/v1/job_pb.ts";
import { systemClock } from "../../services/platform/clock.ts";
import { RpcError } from "../../services/platform/rpc/rpc-error.ts";
import { everyHour, type Registry, removeDir, startRegistry, tempDir } from "../support/registry.ts";

const anHourMs = 3_600_000;

/** The refusal of a call, as its client sees it. */
async function refusalOf(call: Promise<unknown>): Promise<RpcError> {
  const error = await call.then(
    () => undefined,
    (caught) => caught,
  );
  if (error instanceof RpcError) return error;
  throw new Error(`not refused: ${error}`);
}

const fieldsOf = (error: RpcError) => error.fieldViolations.map(({ field }) => field);
const seconds = (count: number) => ({ seconds: BigInt(count) });
const instantAt = (ms: number) => seconds(Math.floor(ms / 1000));

describe("JobService, with no broker anywhere", () => {
  let dataDir: string;
  let registry: Registry;
  let jobs: Registry["jobs"];
  let shiftMs = 0;
  const clock = { ...systemClock, nowMs: () => systemClock.nowMs() + shiftMs };

  beforeAll(async () => {
    dataDir = await tempDir();
    registry = await startRegistry({ dataDir, natsUrl: "nats://127.0.0.1:9" }, clock);
    jobs = registry.jobs;
  });
  afterAll(async () => {
    await registry.stop();
    await removeDir(dataDir);
  });

  const create = (job: Record<string, unknown> = {}) => jobs.createJob({ job: { ...everyHour, ...job } });

  describe("creating", () => {
    it("fills in each default and answers with what is stored", async () => {
      const job = await create();
      expect(job).toMatchObject({
        timeZone: "UTC",
        http: { method: HttpMethod.POST, timeout: seconds(30) },
        retry: { maxAttempts: 2, minBackoff: seconds(1), maxBackoff: seconds(300) },
        overlapPolicy: OverlapPolicy.ALLOW,
        dstPolicy: DstPolicy.ONCE,
        state: JobState.ACTIVE,
        generation: 1,
      });
      expect(job.http?.body).toBeUndefined();
      expect(job.catchUp).toBeUndefined();
      expect(job.jobId).toMatch(/^[0-9a-z]{26}$/);
      expect(Number(job.nextRunTime?.seconds) % 3600).toBe(0);
      expect(await jobs.getJob({ jobId: job.jobId })).toEqual(job);
    });

    it("ignores what only the server sets, and refuses a job id and an etag", async () => {
      const job = await create({ generation: 7, state: JobState.PAUSED, createdAt: seconds(1) });
      expect(job).toMatchObject({ generation: 1, state: JobState.ACTIVE });
      const refusal = await refusalOf(create({ jobId: "mine" }));
      expect(refusal).toMatchObject({ code: "INVALID_ARGUMENT", reason: "JOB_ID_NOT_ALLOWED" });
      expect(fieldsOf(refusal)).toEqual(["job.job_id"]);
      const guarded = await refusalOf(create({ etag: "x" }));
      expect(guarded).toMatchObject({ code: "INVALID_ARGUMENT", reason: "ETAG_NOT_ALLOWED" });
      expect(fieldsOf(guarded)).toEqual(["job.etag"]);
    });

    it("tells all that is wrong at once", async () => {
      const refusal = await refusalOf(
        create({
          schedule: "61 * * * *",
          apiEndpoint: "ftp://x",
          http: { method: HttpMethod.GET, body: "x", headers: { Host: "x" } },
          retry: { minBackoff: seconds(10), maxBackoff: seconds(5) },
        }),
      );
      expect(refusal).toMatchObject({ code: "INVALID_ARGUMENT", reason: "SCHEDULE_INVALID" });
      expect(fieldsOf(refusal)).toEqual([
        "job.schedule",
        "job.api_endpoint",
        'job.http.headers["Host"]',
        "job.http.body",
        "job.retry.max_backoff",
      ]);
    });

    it.each([
      ["job.time_zone", { timeZone: "Mars/Olympus" }],
      ["job.schedule", { schedule: "@at 2001-01-01T00:00:00Z" }],
      ["job.end_time", { startTime: seconds(4_000_000_000), endTime: seconds(4_000_000_000) }],
      ["job.end_time", { endTime: seconds(1_000_000_000) }],
      ["job.schedule", { schedule: "@at 2100-01-01T00:00:00Z", endTime: seconds(4_000_000_000) }],
      ["job.api_endpoint", { apiEndpoint: "http://169.254.169.254/latest/meta-data" }],
      ["job.api_endpoint", { apiEndpoint: "http://[::ffff:169.254.169.254]/" }],
    ])("refuses a timing that never comes and an address that is never called, at %s", async (field, job) => {
      const refusal = await refusalOf(create(job));
      expect(refusal.code).toBe("INVALID_ARGUMENT");
      expect(fieldsOf(refusal)).toEqual([field]);
    });

    it.each([
      ["job.jitter", { jitter: seconds(1) }],
      ["job.overlap_policy", { overlapPolicy: OverlapPolicy.SKIP }],
      ["job.catch_up", { catchUp: {} }],
      ["job.dst_policy", { dstPolicy: DstPolicy.WALL_CLOCK }],
      ["job.http.success_codes", { http: { successCodes: [404] } }],
    ])("refuses what this version does not serve: %s", async (field, job) => {
      const refusal = await refusalOf(create(job));
      expect(refusal).toMatchObject({ code: "UNIMPLEMENTED", reason: "FIELD_NOT_IMPLEMENTED", metadata: { field } });
    });

    it("waits at least min_backoff when only that is given", async () => {
      const job = await create({ retry: { minBackoff: seconds(600) } });
      expect(job.retry).toMatchObject({ maxBackoff: seconds(600) });
    });

    it("answers a repeated request with the job of the first", async () => {
      const request = { job: { ...everyHour, labels: { a: "1", b: "2" } }, requestId: "repeat-me" };
      const first = await jobs.createJob(request);
      await jobs.deleteJob({ jobId: first.jobId });
      const again = { job: { ...everyHour, timeZone: "UTC", labels: { b: "2", a: "1" } }, requestId: "repeat-me" };
      expect(await jobs.createJob(again)).toEqual(first);
      const other = { job: { ...everyHour, displayName: "other" }, requestId: "repeat-me" };
      expect(await refusalOf(jobs.createJob(other))).toMatchObject({
        code: "ALREADY_EXISTS",
        reason: "REQUEST_ID_REUSED",
      });
    });

    it("makes one job of requests with one id that arrive together", async () => {
      const request = { job: everyHour, requestId: "together" };
      const answers = await Promise.all(Array.from({ length: 20 }, () => jobs.createJob(request)));
      expect(new Set(answers.map((job) => job.jobId)).size).toBe(1);
    });

    it("forgets a request id after a day", async () => {
      const request = { job: everyHour, requestId: "daily" };
      const first = await jobs.createJob(request);
      shiftMs += 25 * anHourMs;
      const second = await jobs.createJob(request);
      shiftMs -= 25 * anHourMs;
      expect(second.jobId).not.toBe(first.jobId);
    });
  });

  describe("creating a batch", () => {
    it("creates all, in order", async () => {
      const names = Array.from({ length: 1_000 }, (_, index) => `job ${index}`);
      const requests = names.map((displayName) => ({ job: { ...everyHour, displayName } }));
      const answer = await jobs.batchCreateJobs({ requests });
      expect(answer.jobs.map((job) => job.displayName)).toEqual(names);
      expect(new Set(answer.jobs.map((job) => job.jobId)).size).toBe(1_000);
    });

    it("creates none when its answer would be more than gRPC clients take", async () => {
      const body = "x".repeat(100_000);
      const requests = Array.from({ length: 60 }, () => ({ job: { ...everyHour, http: { body } } }));
      const before = (await jobs.listJobs({ pageSize: 1_000 })).jobs.length;
      const error = await refusalOf(jobs.batchCreateJobs({ requests }));
      expect(error).toMatchObject({ code: "INVALID_ARGUMENT", reason: "BATCH_TOO_LARGE" });
      expect(fieldsOf(error)).toEqual(["requests"]);
      expect((await jobs.listJobs({ pageSize: 1_000 })).jobs.length).toBe(before);
    });

    it("creates none when one is wrong, and says which", async () => {
      const count = await countJobs();
      const requests = [everyHour, { ...everyHour, schedule: "x" }, everyHour, { ...everyHour, apiEndpoint: "x" }];
      const refusal = await refusalOf(jobs.batchCreateJobs({ requests: requests.map((job) => ({ job })) }));
      expect(fieldsOf(refusal)).toEqual(["requests[1].job.schedule", "requests[3].job.api_endpoint"]);
      expect(await countJobs()).toBe(count);
    });

    it("creates none when a request id was used for something else", async () => {
      await jobs.createJob({ job: everyHour, requestId: "taken" });
      const count = await countJobs();
      const requests = [{ job: everyHour }, { job: { ...everyHour, displayName: "other" }, requestId: "taken" }];
      const refusal = await refusalOf(jobs.batchCreateJobs({ requests }));
      expect(refusal.code).toBe("ALREADY_EXISTS");
      expect(fieldsOf(refusal)).toEqual(["requests[1].request_id"]);
      expect(await countJobs()).toBe(count);
    });

    it("knows request ids that stand in it twice, or were answered before", async () => {
      const before = await jobs.createJob({ job: everyHour, requestId: "earlier" });
      const requests = ["twice", "earlier", "twice"].map((requestId) => ({ job: everyHour, requestId }));
      const answer = await jobs.batchCreateJobs({ requests });
      expect(answer.jobs[2]).toEqual(answer.jobs[0]);
      expect(answer.jobs[1]).toEqual(before);
    });
  });

  describe("updating", () => {
    const update = (job: Record<string, unknown>, paths?: string[]) =>
      jobs.updateJob({ job, ...(paths && { updateMask: { paths } }) });

    it("changes what is set when there is no mask, down to halves of http and retry", async () => {
      const { jobId } = await create({ http: { headers: { "X-A": "1" } }, labels: { a: "1" } });
      const job = await update({ jobId, displayName: "new", http: { timeout: seconds(5) } });
      expect(job).toMatchObject({ displayName: "new", labels: { a: "1" }, generation: 2 });
      expect(job.http).toMatchObject({ headers: { "X-A": "1" }, timeout: seconds(5) });
    });

    it("changes what the mask names and nothing else", async () => {
      const { jobId } = await create({ displayName: "old", http: { body: "b", headers: { "X-A": "1" } } });
      const given = { jobId, displayName: "ignored", http: { timeout: seconds(5), body: "ignored" } };
      const job = await update(given, ["http.timeout", "retry.max_attempts"]);
      expect(job).toMatchObject({ displayName: "old", retry: { maxAttempts: 2 } });
      expect(job.http).toMatchObject({ body: "b", headers: { "X-A": "1" }, timeout: seconds(5) });
    });

    it("clears what the mask names and the job leaves out", async () => {
      const { jobId } = await create({
        displayName: "old",
        labels: { a: "1" },
        http: { body: "b" },
        timeZone: "Asia/Tokyo",
      });
      const job = await update({ jobId }, ["display_name", "labels", "http.body", "time_zone"]);
      expect(job).toMatchObject({ displayName: "", labels: {}, timeZone: "UTC" });
      expect(job.http?.body).toBeUndefined();
    });

    it('replaces everything under "*"', async () => {
      const { jobId } = await create({ displayName: "old", retry: { maxAttempts: 9 } });
      const job = await update({ jobId, ...everyHour, schedule: "@daily" }, ["*"]);
      expect(job).toMatchObject({ displayName: "", schedule: "@daily", retry: { maxAttempts: 2 } });
      const refusal = await refusalOf(update({ jobId, displayName: "x" }, ["*"]));
      expect(fieldsOf(refusal).sort()).toEqual(["job.api_endpoint", "job.schedule", "job.type"]);
    });

    it.each([
      "nope",
      "http.nope",
      "job_id",
      "state",
      "etag",
      "created_at",
      "start_time.seconds",
      "labels.a",
      "",
    ])("refuses the path %j by name", async (path) => {
      const { jobId } = await create();
      const refusal = await refusalOf(update({ jobId, displayName: "x" }, ["display_name", path]));
      expect(refusal).toMatchObject({ code: "INVALID_ARGUMENT", reason: "UPDATE_MASK_INVALID" });
      expect(refusal.fieldViolations).toMatchObject([
        { field: "update_mask", description: expect.stringContaining(JSON.stringify(path)) },
      ]);
    });

    it("holds the merged job to the rules of a new one", async () => {
      const { jobId } = await create({ http: { body: "b" } });
      expect(fieldsOf(await refusalOf(update({ jobId, http: { method: HttpMethod.GET } })))).toEqual(["job.http.body"]);
      expect(fieldsOf(await refusalOf(update({ jobId, displayName: "x".repeat(201) })))).toEqual(["job.display_name"]);
      expect((await refusalOf(update({ jobId, jitter: seconds(3) }))).code).toBe("UNIMPLEMENTED");
      expect((await jobs.getJob({ jobId })).generation).toBe(1);
    });

    it("lets a default max_backoff follow min_backoff", async () => {
      const { jobId } = await create();
      const job = await update({ jobId, retry: { minBackoff: seconds(900) } });
      expect(job.retry).toMatchObject({ minBackoff: seconds(900), maxBackoff: seconds(900) });
    });

    it("changes nothing when nothing changes", async () => {
      const job = await create({ labels: { a: "1", b: "2" } });
      expect(await update({ jobId: job.jobId, labels: { b: "2", a: "1" } })).toEqual(job);
    });

    it("changes over REST what the body names, down to halves of http and retry, and takes back what GET gave", async () => {
      const { jobId } = await create({
        http: { headers: { "X-A": "1" }, body: "hi", timeout: seconds(5) },
        retry: { maxAttempts: 5, minBackoff: seconds(2), maxBackoff: seconds(20) },
      });
      const url = `http://127.0.0.1:${registry.addresses.http.port}/jobs/${jobId}`;
      const patch = async (body: unknown) => {
        const answer = await fetch(url, { method: "PATCH", body: JSON.stringify(body) });
        return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
      };
      expect((await patch({ http: { timeout: "8s" }, retry: { max_attempts: 8 } })).body).toMatchObject({
        http: { headers: { "X-A": "1" }, body: "hi", timeout: "8s" },
        retry: { max_attempts: 8, min_backoff: "2s", max_backoff: "20s" },
      });
      expect((await patch({ http: { headers: null }, retry: null })).body).toMatchObject({
        http: { body: "hi", timeout: "8s" },
        retry: { max_attempts: 2, min_backoff: "1s", max_backoff: "300s" },
      });
      const read = (await (await fetch(url)).json()) as Record<string, unknown>;
      expect(await patch(read)).toEqual({ status: 200, body: read });
      const renamed = await patch({ ...read, display_name: "renamed" });
      expect(renamed).toMatchObject({ status: 200, body: { display_name: "renamed", http: { body: "hi" } } });
      expect((await patch({ display_name: "late", etag: read.etag })).status).toBe(409);
      expect((await patch({ etag: read.etag })).status).toBe(409);
      expect((await patch({ etag: renamed.body.etag })).status).toBe(200);
    });

    it("refuses a stale etag and takes the current one", async () => {
      const job = await create();
      const changed = await update({ jobId: job.jobId, etag: job.etag, displayName: "one" });
      expect(changed.etag).not.toBe(job.etag);
      const stale = await refusalOf(update({ jobId: job.jobId, etag: job.etag, displayName: "two" }));
      expect(stale).toMatchObject({ code: "ABORTED", reason: "ETAG_MISMATCH" });
      const deletion = await refusalOf(jobs.deleteJob({ jobId: job.jobId, etag: job.etag }));
      expect(deletion.code).toBe("ABORTED");
      await jobs.deleteJob({ jobId: job.jobId, etag: changed.etag });
    });

    it("lets one of those who read the same etag win", async () => {
      const { jobId, etag } = await create();
      const outcomes = await Promise.allSettled(
        Array.from({ length: 10 }, (_, index) => update({ jobId, etag, displayName: `${index}` })),
      );
      expect(outcomes.filter((outcome) => outcome.status === "fulfilled")).toHaveLength(1);
    });
  });

  describe("pausing and resuming", () => {
    it("stops and goes on, and changes nothing the second time", async () => {
      const { jobId } = await create();
      const paused = await jobs.pauseJob({ jobId });
      expect(paused).toMatchObject({ state: JobState.PAUSED, generation: 2 });
      expect(paused.nextRunTime).toBeUndefined();
      expect(await jobs.pauseJob({ jobId })).toEqual(paused);
      const resumed = await jobs.resumeJob({ jobId });
      expect(resumed).toMatchObject({ state: JobState.ACTIVE, generation: 3 });
      expect(resumed.nextRunTime).toBeDefined();
    });

    it("is COMPLETED when no occurrence is left", async () => {
      const at = new Date(systemClock.nowMs() + anHourMs).toISOString().replace(/\.\d+/, "");
      const { jobId } = await create({ schedule: `@at ${at}` });
      expect((await jobs.getJob({ jobId })).state).toBe(JobState.ACTIVE);
      shiftMs += 2 * anHourMs;
      const job = await jobs.getJob({ jobId });
      const renamed = await jobs.updateJob({ job: { jobId, displayName: "its target may still change" } });
      shiftMs -= 2 * anHourMs;
      expect(job).toMatchObject({ state: JobState.COMPLETED });
      expect(job.nextRunTime).toBeUndefined();
      expect(renamed.generation).toBe(2);
    });
  });

  it("says NOT_FOUND with the same reason everywhere", async () => {
    const { jobId } = await create();
    await jobs.deleteJob({ jobId });
    const calls = [
      jobs.getJob({ jobId }),
      jobs.updateJob({ job: { jobId, displayName: "x" } }),
      jobs.deleteJob({ jobId }),
      jobs.pauseJob({ jobId }),
      jobs.resumeJob({ jobId }),
      jobs.runJob({ jobId }),
      registry.executions.listExecutions({ jobId }),
    ];
    const refusals = await Promise.all(calls.map(refusalOf));
    for (const refusal of refusals) expect(refusal).toMatchObject({ code: "NOT_FOUND", reason: "JOB_NOT_FOUND" });
  });

  it("says what is missing when history is away", async () => {
    const { jobId } = await create();
    expect(await refusalOf(registry.executions.listExecutions({ jobId }))).toMatchObject({
      code: "UNAVAILABLE",
      reason: "HISTORY_UNAVAILABLE",
    });
  });

  it("names the RPCs that it does not serve", async () => {
    const { jobId } = await create();
    const calls = [jobs.backfillJob({ jobId }), registry.executions.auditJob({ jobId })];
    const refusals = await Promise.all(calls.map(refusalOf));
    expect(refusals.map(({ code }) => code)).toEqual(["UNIMPLEMENTED", "UNIMPLEMENTED"]);
  });

  it("lists every job once, oldest first, whatever the pages", async () => {
    const all = await listAll(1_000);
    expect(all.length).toBeGreaterThan(1_000);
    expect((await listAll(173)).map((job) => job.jobId)).toEqual(all.map((job) => job.jobId));
    expect(all.map((job) => job.jobId).toSorted()).toEqual(all.map((job) => job.jobId));
    expect((await jobs.listJobs({})).jobs).toHaveLength(50);
  });

  it.each([
    "x",
    "am9icy8xLw",
    Buffer.from("jobs/1/0123").toString("base64url"),
  ])("refuses the page token %j", async (token) => {
    const refusal = await refusalOf(jobs.listJobs({ pageToken: token }));
    expect(refusal.code).toBe("INVALID_ARGUMENT");
    expect(fieldsOf(refusal)).toEqual(["page_token"]);
  });

  it("ends a page before it is more than gRPC clients take", async () => {
    const body = "x".repeat(100_000);
    const large: string[] = [];
    for (let i = 0; i < 50; i++) large.push((await create({ http: { body } })).jobId);
    const seen: string[] = [];
    for (let pageToken = ""; ; ) {
      const page = await jobs.listJobs({ pageSize: 1_000, pageToken });
      expect(page.jobs.reduce((sum, job) => sum + (job.http?.body ?? "").length, 0)).toBeLessThan(4 * 1024 * 1024);
      seen.push(...page.jobs.map((job) => job.jobId));
      pageToken = page.nextPageToken;
      if (pageToken === "") break;
    }
    expect(new Set(seen).size).toBe(seen.length);
    expect(large.filter((id) => !seen.includes(id))).toEqual([]);
    for (const jobId of large) await jobs.deleteJob({ jobId });
  });

  it("previews a schedule without creating anything", async () => {
    const after = instantAt(Date.UTC(2026, 2, 28, 12));
    const preview = await jobs.previewSchedule({ schedule: "30 2 * * *", timeZone: "Europe/Berlin", after, count: 2 });
    expect(preview.occurrences.map(({ seconds }) => new Date(Number(seconds) * 1000).toISOString())).toEqual([
      "2026-03-29T01:00:00.000Z",
      "2026-03-30T00:30:00.000Z",
    ]);
    expect(fieldsOf(await refusalOf(jobs.previewSchedule({ schedule: "x" })))).toEqual(["schedule"]);
  });

  it("has each job again after a restart", async () => {
    const before = await listAll(1_000);
    await registry.stop();
    registry = await startRegistry({ dataDir, natsUrl: "nats://127.0.0.1:9" }, clock);
    jobs = registry.jobs;
    const after = await listAll(1_000);
    expect(after.map(({ jobId, etag }) => [jobId, etag])).toEqual(before.map(({ jobId, etag }) => [jobId, etag]));
  });

  async function listAll(pageSize: number): Promise<Job[]> {
    const all: Job[] = [];
    let pageToken = "";
    do {
      const page = await jobs.listJobs({ pageSize, pageToken });
      all.push(...page.jobs);
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    return all;
  }

  async function countJobs(): Promise<number> {
    return (await listAll(1_000)).length;
  }
});
