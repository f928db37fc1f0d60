import { describe, expect, it } from "vitest";
import { HttpMethod, JobState } from "../../../gen/carillon/v1/job_pb.ts";
import { systemClock } from "../../../services/platform/process/clock.ts";
import { useLoneRegistry } from "../../support/lone-registry.ts";
import { fieldsOf, refusalOf, seconds } from "../../support/refusal.ts";
import { everyHour } from "../../support/registry.ts";

const anHourMs = 3_600_000;

describe("changing jobs, with no broker anywhere", () => {
  const rig = useLoneRegistry();
  const { create } = rig;

  describe("updating", () => {
    const update = (job: Record<string, unknown>, paths?: string[]) =>
      rig.jobs.updateJob({ job, ...(paths && { updateMask: { paths } }) });

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
      expect((await rig.jobs.getJob({ jobId })).generation).toBe(1);
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
      const url = `http://127.0.0.1:${rig.registry.addresses.http.port}/jobs/${jobId}`;
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
      const deletion = await refusalOf(rig.jobs.deleteJob({ jobId: job.jobId, etag: job.etag }));
      expect(deletion.code).toBe("ABORTED");
      await rig.jobs.deleteJob({ jobId: job.jobId, etag: changed.etag });
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
      const paused = await rig.jobs.pauseJob({ jobId });
      expect(paused).toMatchObject({ state: JobState.PAUSED, generation: 2 });
      expect(paused.nextRunTime).toBeUndefined();
      expect(await rig.jobs.pauseJob({ jobId })).toEqual(paused);
      const resumed = await rig.jobs.resumeJob({ jobId });
      expect(resumed).toMatchObject({ state: JobState.ACTIVE, generation: 3 });
      expect(resumed.nextRunTime).toBeDefined();
    });

    it("is COMPLETED when no occurrence is left", async () => {
      const at = new Date(systemClock.nowMs() + anHourMs).toISOString().replace(/\.\d+/, "");
      const { jobId } = await create({ schedule: `@at ${at}` });
      expect((await rig.jobs.getJob({ jobId })).state).toBe(JobState.ACTIVE);
      rig.shiftMs += 2 * anHourMs;
      const job = await rig.jobs.getJob({ jobId });
      const renamed = await rig.jobs.updateJob({ job: { jobId, displayName: "its target may still change" } });
      rig.shiftMs -= 2 * anHourMs;
      expect(job).toMatchObject({ state: JobState.COMPLETED });
      expect(job.nextRunTime).toBeUndefined();
      expect(renamed.generation).toBe(2);
    });

    it("stays COMPLETED when it is paused then, and when it is resumed", async () => {
      const at = new Date(systemClock.nowMs() + anHourMs).toISOString().replace(/\.\d+/, "");
      const { jobId } = await create({ schedule: `@at ${at}` });
      const { jobId: pausedBefore } = await create({ schedule: `@at ${at}` });
      expect((await rig.jobs.pauseJob({ jobId: pausedBefore })).state).toBe(JobState.PAUSED);
      rig.shiftMs += 2 * anHourMs;
      const states: (JobState | undefined)[] = [];
      for (const change of [rig.jobs.pauseJob, rig.jobs.getJob, rig.jobs.resumeJob, rig.jobs.getJob]) {
        states.push((await change({ jobId })).state, (await change({ jobId: pausedBefore })).state);
      }
      const { jobs } = await rig.jobs.listJobs({ pageSize: 1_000 });
      rig.shiftMs -= 2 * anHourMs;
      expect(new Set(states)).toEqual(new Set([JobState.COMPLETED]));
      expect(jobs.find((job) => job.jobId === jobId)?.state).toBe(JobState.COMPLETED);
    });
  });
});
