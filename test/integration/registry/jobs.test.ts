import { describe, expect, it } from "vitest";
import type { Job } from "../../../gen/carillon/v1/job_pb.ts";
import { DstPolicy, HttpMethod, JobState, OverlapPolicy } from "../../../gen/carillon/v1/job_pb.ts";
import { useLoneRegistry } from "../../support/lone-registry.ts";
import { fieldsOf, instantAt, refusalOf, seconds } from "../../support/refusal.ts";
import { everyHour } from "../../support/registry.ts";

const anHourMs = 3_600_000;

describe("JobService, with no broker anywhere", () => {
  const rig = useLoneRegistry();
  const { create } = rig;

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
      expect(job.jobId).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
      expect(Number(job.nextRunTime?.seconds) % 3600).toBe(0);
      expect(await rig.jobs.getJob({ jobId: job.jobId })).toEqual(job);
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
      const first = await rig.jobs.createJob(request);
      await rig.jobs.deleteJob({ jobId: first.jobId });
      const again = { job: { ...everyHour, timeZone: "UTC", labels: { b: "2", a: "1" } }, requestId: "repeat-me" };
      expect(await rig.jobs.createJob(again)).toEqual(first);
      const other = { job: { ...everyHour, displayName: "other" }, requestId: "repeat-me" };
      expect(await refusalOf(rig.jobs.createJob(other))).toMatchObject({
        code: "ALREADY_EXISTS",
        reason: "REQUEST_ID_REUSED",
      });
    });

    it("makes one job of requests with one id that arrive together", async () => {
      const request = { job: everyHour, requestId: "together" };
      const answers = await Promise.all(Array.from({ length: 20 }, () => rig.jobs.createJob(request)));
      expect(new Set(answers.map((job) => job.jobId)).size).toBe(1);
    });

    it("forgets a request id after a day", async () => {
      const request = { job: everyHour, requestId: "daily" };
      const first = await rig.jobs.createJob(request);
      rig.shiftMs += 25 * anHourMs;
      const second = await rig.jobs.createJob(request);
      rig.shiftMs -= 25 * anHourMs;
      expect(second.jobId).not.toBe(first.jobId);
    });
  });

  describe("creating a batch", () => {
    it("creates all, in order", async () => {
      const names = Array.from({ length: 1_000 }, (_, index) => `job ${index}`);
      const requests = names.map((displayName) => ({ job: { ...everyHour, displayName } }));
      const answer = await rig.jobs.batchCreateJobs({ requests });
      expect(answer.jobs.map((job) => job.displayName)).toEqual(names);
      expect(new Set(answer.jobs.map((job) => job.jobId)).size).toBe(1_000);
    });

    it("creates none when its answer would be more than gRPC clients take", async () => {
      const body = "x".repeat(100_000);
      const requests = Array.from({ length: 60 }, () => ({ job: { ...everyHour, http: { body } } }));
      const before = (await rig.jobs.listJobs({ pageSize: 1_000 })).jobs.length;
      const error = await refusalOf(rig.jobs.batchCreateJobs({ requests }));
      expect(error).toMatchObject({ code: "INVALID_ARGUMENT", reason: "BATCH_TOO_LARGE" });
      expect(fieldsOf(error)).toEqual(["requests"]);
      expect((await rig.jobs.listJobs({ pageSize: 1_000 })).jobs.length).toBe(before);
    });

    it("creates none when one is wrong, and says which", async () => {
      const count = await countJobs();
      const requests = [everyHour, { ...everyHour, schedule: "x" }, everyHour, { ...everyHour, apiEndpoint: "x" }];
      const refusal = await refusalOf(rig.jobs.batchCreateJobs({ requests: requests.map((job) => ({ job })) }));
      expect(fieldsOf(refusal)).toEqual(["requests[1].job.schedule", "requests[3].job.api_endpoint"]);
      expect(await countJobs()).toBe(count);
    });

    it("creates none when a request id was used for something else", async () => {
      await rig.jobs.createJob({ job: everyHour, requestId: "taken" });
      const count = await countJobs();
      const requests = [{ job: everyHour }, { job: { ...everyHour, displayName: "other" }, requestId: "taken" }];
      const refusal = await refusalOf(rig.jobs.batchCreateJobs({ requests }));
      expect(refusal.code).toBe("ALREADY_EXISTS");
      expect(fieldsOf(refusal)).toEqual(["requests[1].request_id"]);
      expect(await countJobs()).toBe(count);
    });

    it("knows request ids that stand in it twice, or were answered before", async () => {
      const { warning: _, ...before } = await rig.jobs.createJob({ job: everyHour, requestId: "earlier" });
      const requests = ["twice", "earlier", "twice"].map((requestId) => ({ job: everyHour, requestId }));
      const answer = await rig.jobs.batchCreateJobs({ requests });
      expect(answer.jobs[2]).toEqual(answer.jobs[0]);
      expect(answer.jobs[1]).toEqual(before);
    });
  });

  it("says NOT_FOUND with the same reason everywhere", async () => {
    const { jobId } = await create();
    await rig.jobs.deleteJob({ jobId });
    const calls = [
      rig.jobs.getJob({ jobId }),
      rig.jobs.updateJob({ job: { jobId, displayName: "x" } }),
      rig.jobs.deleteJob({ jobId }),
      rig.jobs.pauseJob({ jobId }),
      rig.jobs.resumeJob({ jobId }),
      rig.jobs.runJob({ jobId }),
      rig.registry.executions.listExecutions({ jobId }),
    ];
    const refusals = await Promise.all(calls.map(refusalOf));
    for (const refusal of refusals) expect(refusal).toMatchObject({ code: "NOT_FOUND", reason: "JOB_NOT_FOUND" });
  });

  it("says what is missing when history is away", async () => {
    const { jobId } = await create();
    expect(await refusalOf(rig.registry.executions.listExecutions({ jobId }))).toMatchObject({
      code: "UNAVAILABLE",
      reason: "HISTORY_UNAVAILABLE",
    });
  });

  it("names the RPCs that it does not serve", async () => {
    const { jobId } = await create();
    const calls = [rig.jobs.backfillJob({ jobId }), rig.registry.executions.auditJob({ jobId })];
    const refusals = await Promise.all(calls.map(refusalOf));
    expect(refusals.map(({ code }) => code)).toEqual(["UNIMPLEMENTED", "UNIMPLEMENTED"]);
  });

  it("lists every job once, oldest first, whatever the pages", async () => {
    const all = await listAll(1_000);
    expect(all.length).toBeGreaterThan(1_000);
    expect((await listAll(173)).map((job) => job.jobId)).toEqual(all.map((job) => job.jobId));
    expect(all.map((job) => job.jobId).toSorted()).toEqual(all.map((job) => job.jobId));
    expect((await rig.jobs.listJobs({})).jobs).toHaveLength(50);
    expect((await rig.jobs.listJobs({ pageSize: 1_001 })).jobs).toHaveLength(1_000);
    expect((await rig.jobs.listJobs({ pageSize: 2 ** 31 - 1 })).jobs).toHaveLength(1_000);
  });

  it.each([
    "x",
    "am9icy8xLw",
    Buffer.from("jobs/1/0123").toString("base64url"),
  ])("refuses the page token %j", async (token) => {
    const refusal = await refusalOf(rig.jobs.listJobs({ pageToken: token }));
    expect(refusal.code).toBe("INVALID_ARGUMENT");
    expect(fieldsOf(refusal)).toEqual(["page_token"]);
  });

  it("ends a page before it is more than gRPC clients take", async () => {
    const body = "x".repeat(100_000);
    const large: string[] = [];
    for (let i = 0; i < 50; i++) large.push((await create({ http: { body } })).jobId);
    const seen: string[] = [];
    for (let pageToken = ""; ; ) {
      const page = await rig.jobs.listJobs({ pageSize: 1_000, pageToken });
      expect(page.jobs.reduce((sum, job) => sum + (job.http?.body ?? "").length, 0)).toBeLessThan(4 * 1024 * 1024);
      seen.push(...page.jobs.map((job) => job.jobId));
      pageToken = page.nextPageToken;
      if (pageToken === "") break;
    }
    expect(new Set(seen).size).toBe(seen.length);
    expect(large.filter((id) => !seen.includes(id))).toEqual([]);
    for (const jobId of large) await rig.jobs.deleteJob({ jobId });
  });

  it("previews a schedule without creating anything", async () => {
    const after = instantAt(Date.UTC(2026, 2, 28, 12));
    const preview = await rig.jobs.previewSchedule({
      schedule: "30 2 * * *",
      timeZone: "Europe/Berlin",
      after,
      count: 2,
    });
    expect(preview.occurrences.map(({ seconds }) => new Date(Number(seconds) * 1000).toISOString())).toEqual([
      "2026-03-29T01:00:00.000Z",
      "2026-03-30T00:30:00.000Z",
    ]);
    expect(fieldsOf(await refusalOf(rig.jobs.previewSchedule({ schedule: "x" })))).toEqual(["schedule"]);
  });

  it("has each job again after a restart", async () => {
    const before = await listAll(1_000);
    await rig.restart();
    const after = await listAll(1_000);
    expect(after.map(({ jobId, etag }) => [jobId, etag])).toEqual(before.map(({ jobId, etag }) => [jobId, etag]));
  });

  async function listAll(pageSize: number): Promise<Job[]> {
    const all: Job[] = [];
    let pageToken = "";
    do {
      const page = await rig.jobs.listJobs({ pageSize, pageToken });
      all.push(...page.jobs);
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    return all;
  }

  async function countJobs(): Promise<number> {
    return (await listAll(1_000)).length;
  }
});
