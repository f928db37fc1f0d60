import { describe, expect, it } from "vitest";
import { JobState } from "../../../gen/carillon/v1/job_pb.ts";
import { useLoneRegistry } from "../../support/lone-registry.ts";
import { fieldsOf, refusalOf } from "../../support/refusal.ts";
import { everyHour } from "../../support/registry.ts";

describe("many jobs in one call", () => {
  const rig = useLoneRegistry();
  let count = 0;
  const newKey = () => `batch/${++count}`;
  const named = (key: string) => ({ jobId: `key=${key}` });
  const upsertOf = (job: Record<string, unknown>) => ({
    job: { ...everyHour, ...job },
    updateMask: { paths: ["*"] },
    allowMissing: true,
  });
  const upsert = (...jobs: Record<string, unknown>[]) =>
    rig.jobs.batchUpdateJobs({ requests: jobs.map((job) => upsertOf(job)) });
  const isThere = async (key: string) => {
    const refusal = rig.jobs.getJob(named(key)).then(() => true);
    return refusal.catch(() => false);
  };

  describe("are got", () => {
    it("in the order asked, by ids and keys, over REST as well", async () => {
      const key = newKey();
      const [first, second] = [await rig.create({ key }), await rig.create()];
      const { jobs } = await rig.jobs.batchGetJobs({ jobIds: [second.jobId, `key=${key}`, first.jobId] });
      expect(jobs.map(({ jobId }) => jobId)).toEqual([second.jobId, first.jobId, first.jobId]);
      const { port } = rig.registry.addresses.http;
      const answer = await fetch(`http://127.0.0.1:${port}/jobs:batchGet?job_ids=${second.jobId}&job_ids=key=${key}`);
      expect(JSON.parse(await answer.text())).toMatchObject({ jobs: [{ job_id: second.jobId }, { key }] });
    });

    it("all, or a refusal that says which one is not there, or that they are too much for one answer", async () => {
      const { jobId } = await rig.create();
      const missing = await refusalOf(rig.jobs.batchGetJobs({ jobIds: [jobId, "key=nobody/has:it"] }));
      expect(missing).toMatchObject({ code: "NOT_FOUND", metadata: { job_id: "key=nobody/has:it" } });
      expect(fieldsOf(missing)).toEqual(["job_ids[1]"]);
      const large = await rig.create({ http: { body: "x".repeat(120_000) } });
      const jobIds = Array.from({ length: 40 }, () => large.jobId);
      expect(await refusalOf(rig.jobs.batchGetJobs({ jobIds }))).toMatchObject({ reason: "BATCH_TOO_LARGE" });
      for (const wrong of [[], Array.from({ length: 1_001 }, () => jobId)]) {
        expect(fieldsOf(await refusalOf(rig.jobs.batchGetJobs({ jobIds: wrong })))).toEqual(["job_ids"]);
      }
    });
  });

  describe("are updated", () => {
    it("and created where they are missing, each by its own mask, and counted", async () => {
      const [a, b, c] = [newKey(), newKey(), newKey()];
      const { jobId } = await rig.create({ key: a, displayName: "old" });
      await rig.create({ key: b });
      const answer = await rig.jobs.batchUpdateJobs({
        requests: [
          { job: { jobId, displayName: "new", schedule: "ignored" }, updateMask: { paths: ["display_name"] } },
          upsertOf({ key: b }),
          upsertOf({ key: c }),
        ],
      });
      expect(answer).toMatchObject({
        jobs: [
          { jobId, displayName: "new", generation: 2 },
          { key: b, generation: 1 },
          { key: c, generation: 1 },
        ],
        createdCount: 1,
        changedCount: 1,
      });
      const told = await rig.told();
      const again = await upsert({ key: b }, { key: c });
      expect(again).toMatchObject({ createdCount: 0, changedCount: 0, jobs: answer.jobs.slice(1) });
      expect(await rig.told()).toBe(told);
    });

    it("all or none", async () => {
      const [a, b, taken] = [newKey(), newKey(), newKey()];
      const holder = await rig.create({ key: taken });
      const { jobId, etag } = await rig.create();
      const fine = [upsertOf({ key: a }), { job: { jobId, displayName: "new" } }];
      const wrong: [Record<string, unknown>, string, string | undefined][] = [
        [{ job: { jobId: "key=nobody", displayName: "x" } }, "JOB_NOT_FOUND", "requests[2].job.job_id"],
        [{ job: { key: "nobody" } }, "JOB_NOT_FOUND", "requests[2].job.key"],
        [upsertOf({ key: b, schedule: "nope" }), "SCHEDULE_INVALID", "requests[2].job.schedule"],
        [upsertOf({ key: "a b" }), "INVALID_FIELD", "requests[2].job.key"],
        [upsertOf({ key: b, etag }), "ETAG_MISMATCH", undefined],
        [{ job: { jobId: holder.jobId, key: a } }, "KEY_TAKEN", "requests[2].job.key"],
        [upsertOf({ key: a }), "JOB_NAMED_TWICE", "requests[2].job.key"],
        [upsertOf({ jobId: `key=${a}` }), "JOB_NAMED_TWICE", "requests[2].job.job_id"],
        [{ job: { jobId, displayName: "other" } }, "JOB_NAMED_TWICE", "requests[2].job.job_id"],
        [
          { job: { jobId: holder.jobId }, updateMask: { paths: ["nope"] } },
          "UPDATE_MASK_INVALID",
          "requests[2].update_mask",
        ],
        [{}, "INVALID_FIELD", "requests[2].job"],
        [{ job: everyHour, allowMissing: true }, "INVALID_FIELD", "requests[2].job.job_id"],
        [{ ...upsertOf({ key: b }), validateOnly: true }, "INVALID_FIELD", "requests[2].validate_only"],
      ];
      const told = await rig.told();
      for (const [request, reason, field] of wrong) {
        const refusal = await refusalOf(rig.jobs.batchUpdateJobs({ requests: [...fine, request] }));
        expect(refusal).toMatchObject({ reason });
        expect(fieldsOf(refusal)).toEqual(field === undefined ? [] : [field]);
      }
      expect([await isThere(a), await isThere(b)]).toEqual([false, false]);
      expect(await rig.jobs.getJob({ jobId })).toMatchObject({ generation: 1, key: "" });
      expect(await rig.told()).toBe(told);
    });

    it("where one is named by its id and by its key, not twice", async () => {
      const key = newKey();
      const { jobId } = await rig.create({ key });
      const requests = [{ job: { jobId, displayName: "a" } }, upsertOf({ key })];
      expect(fieldsOf(await refusalOf(rig.jobs.batchUpdateJobs({ requests })))).toEqual(["requests[1].job.key"]);
    });

    it("and may pass their keys on to each other", async () => {
      const [a, b] = [newKey(), newKey()];
      const [first, second] = [await rig.create({ key: a }), await rig.create({ key: b })];
      const swap = [{ job: { jobId: first.jobId, key: b } }, { job: { jobId: second.jobId, key: a } }];
      await rig.jobs.batchUpdateJobs({ requests: swap });
      const { jobs } = await rig.jobs.batchGetJobs({ jobIds: [`key=${a}`, `key=${b}`] });
      expect(jobs.map(({ jobId }) => jobId)).toEqual([second.jobId, first.jobId]);
    });

    it("only in mind, where they are to be validated", async () => {
      const key = newKey();
      const { jobId } = await rig.create();
      const requests = [upsertOf({ key }), { job: { jobId, displayName: "n" } }];
      const answer = await rig.jobs.batchUpdateJobs({ requests, validateOnly: true });
      expect(answer).toMatchObject({
        jobs: [
          { key, jobId: "", etag: "" },
          { jobId, generation: 2, etag: "" },
        ],
      });
      expect(answer).toMatchObject({ createdCount: 1, changedCount: 1 });
      expect(answer.warning).toBeUndefined();
      expect(await isThere(key)).toBe(false);
      expect((await rig.jobs.getJob({ jobId })).generation).toBe(1);
    });

    it("up to what one answer takes", async () => {
      const body = "x".repeat(120_000);
      const jobs = Array.from({ length: 31 }, () => ({ key: newKey(), http: { body } }));
      expect(await refusalOf(upsert(...jobs))).toMatchObject({ reason: "BATCH_TOO_LARGE" });
      expect(await isThere(jobs[0]?.key ?? "")).toBe(false);
      expect((await upsert(...jobs.slice(0, 30))).createdCount).toBe(30);
      // Also where what is asked for is little, and what it makes is much.
      const all = await rig.create({ http: { body } });
      const { jobs: large } = await upsert({ key: newKey(), http: { body } });
      const names = [
        ...jobs.slice(0, 29).map(({ key }) => named(key)),
        ...[all, ...large].map(({ jobId }) => ({ jobId })),
      ];
      const requests = names.map((name) => ({ job: { ...name, displayName: "n" } }));
      expect(await refusalOf(rig.jobs.batchUpdateJobs({ requests }))).toMatchObject({ reason: "BATCH_TOO_LARGE" });
    });
  });

  describe("are deleted", () => {
    it("all or none, by ids and keys, unless they may be missing", async () => {
      const key = newKey();
      const [first, second] = [await rig.create({ key }), await rig.create()];
      const jobIds = [first.jobId, second.jobId, `key=${key}`, "key=nobody"];
      const refusal = await refusalOf(rig.jobs.batchDeleteJobs({ jobIds }));
      expect([refusal.code, fieldsOf(refusal)]).toEqual(["NOT_FOUND", ["job_ids[3]"]]);
      const only = await rig.jobs.batchDeleteJobs({ jobIds, allowMissing: true, validateOnly: true });
      expect([only.deletedCount, await isThere(key)]).toEqual([2, true]);
      expect((await rig.jobs.batchDeleteJobs({ jobIds, allowMissing: true })).deletedCount).toBe(2);
      expect((await rig.jobs.batchDeleteJobs({ jobIds, allowMissing: true })).deletedCount).toBe(0);
      expect(await isThere(key)).toBe(false);
      expect((await rig.create({ key })).state).toBe(JobState.ACTIVE);
    });
  });

  describe("with the same labels", () => {
    const newLabels = () => ({ env: `test ${++count}`, "example.com/team": 'größe "x" \\' });
    const createWith = async (labels: Record<string, string>, many: number) => {
      const requests = Array.from({ length: many }, () => ({ job: { ...everyHour, labels } }));
      const { jobs } = await rig.jobs.batchCreateJobs({ requests });
      return jobs.map(({ jobId }) => jobId);
    };
    const filterOf = (labels: Record<string, string>) =>
      Object.entries(labels)
        .map(([name, value]) => `labels.${JSON.stringify(name)} = ${JSON.stringify(value)}`)
        .join(" AND ");

    it("are listed, a page at a time, by a token that is for this filter alone", async () => {
      const labels = newLabels();
      const jobIds = await createWith(labels, 5);
      await createWith({ env: labels.env }, 2);
      const filter = filterOf(labels);
      const all = await rig.jobs.listJobs({ filter });
      expect([all.jobs.map(({ jobId }) => jobId), all.nextPageToken]).toEqual([jobIds, ""]);
      const first = await rig.jobs.listJobs({ filter, pageSize: 3 });
      const second = await rig.jobs.listJobs({ filter, pageSize: 3, pageToken: first.nextPageToken });
      expect([...first.jobs, ...second.jobs].map(({ jobId }) => jobId)).toEqual(jobIds);
      expect(second.nextPageToken).toBe("");
      expect(
        (
          await rig.jobs.listJobs({
            filter: `labels.env="${labels.env}"   AND labels.env = "${labels.env}"`,
            pageSize: 1_000,
          })
        ).jobs,
      ).toHaveLength(7);
      for (const other of ["", `${filter} `, filterOf({ env: "other" })]) {
        const refusal = await refusalOf(rig.jobs.listJobs({ filter: other, pageToken: first.nextPageToken }));
        expect(refusal).toMatchObject({ reason: "PAGE_TOKEN_INVALID" });
      }
    });

    it.each([
      "env",
      "labels",
      "labels.",
      "labels.env",
      "labels.env = te st",
      "labels.env = größe",
      "labels.env =",
      'labels.env = "test',
      'labels.env != "test"',
      'labels.env = "a" OR labels.env = "b"',
      'labels.env = "a" labels.b = "b"',
      'labels.env = "a" AND',
      'labels.env = "a" AND ',
      'labels.a.b = "c"',
      'state = "PAUSED"',
      'labels.env = "a" ANDlabels.b = "b"',
      Array.from({ length: 9 }, (_, index) => `labels.k${index} = "v"`).join(" AND "),
    ])("are not listed or purged by a filter such as %j", async (filter) => {
      for (const call of [() => rig.jobs.listJobs({ filter }), () => rig.jobs.purgeJobs({ filter, force: true })]) {
        const refusal = await refusalOf(call());
        expect([refusal.code, refusal.reason, fieldsOf(refusal)]).toEqual([
          "INVALID_ARGUMENT",
          "FILTER_INVALID",
          ["filter"],
        ]);
      }
    });

    it("are counted, and purged when that is meant, some a call", async () => {
      const labels = newLabels();
      const jobIds = await createWith(labels, 450);
      const [other = ""] = await createWith({ env: labels.env }, 1);
      const filter = filterOf(labels);
      const told = await rig.jobs.purgeJobs({ filter });
      expect(told).toMatchObject({ purgeCount: 450, purgeSample: jobIds.slice(0, 100), nextPageToken: "" });
      const first = await rig.jobs.purgeJobs({ filter, force: true, maxCount: 300 });
      expect(first).toMatchObject({ purgeCount: 300, purgeSample: jobIds.slice(0, 100) });
      expect((await rig.jobs.listJobs({ filter, pageSize: 1_000 })).jobs.map(({ jobId }) => jobId)).toEqual(
        jobIds.slice(300),
      );
      const pageToken = first.nextPageToken;
      expect(await refusalOf(rig.jobs.purgeJobs({ filter, pageToken }))).toMatchObject({
        reason: "PAGE_TOKEN_INVALID",
      });
      const rest = await rig.jobs.purgeJobs({ filter, force: true, pageToken });
      expect(rest).toMatchObject({ purgeCount: 150, purgeSample: jobIds.slice(300, 400), nextPageToken: "" });
      expect(await rig.jobs.purgeJobs({ filter, force: true })).toMatchObject({ purgeCount: 0, nextPageToken: "" });
      expect((await rig.jobs.getJob({ jobId: other })).state).toBe(JobState.ACTIVE);
    });

    it("are not purged for nothing", async () => {
      for (const filter of ["", " "]) {
        expect(fieldsOf(await refusalOf(rig.jobs.purgeJobs({ filter, force: true })))).toEqual(["filter"]);
      }
    });
  });
});
