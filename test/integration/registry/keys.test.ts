import { describe, expect, it } from "vitest";
import { JobState } from "../../../gen/carillon/v1/job_pb.ts";
import { reasonOf, violationsOf } from "../../support/front-door.ts";
import { useLoneRegistry } from "../../support/lone-registry.ts";
import { fieldsOf, refusalOf } from "../../support/refusal.ts";
import { everyHour } from "../../support/registry.ts";

const job = { schedule: "@hourly", api_endpoint: "http://127.0.0.1:9/hook", type: "ATLEAST_ONCE" };

describe("a job with a key of its own", () => {
  const rig = useLoneRegistry();
  const send = async (verb: string, path: string, body?: unknown, headers: Record<string, string> = {}) => {
    const answer = await fetch(`http://127.0.0.1:${rig.registry.addresses.http.port}${path}`, {
      method: verb,
      headers,
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    return { status: answer.status, json: JSON.parse(text) };
  };
  let count = 0;
  /** A key that no other test has, with all that a key may have in it. */
  const newKey = () => `Billing/nightly:${++count}_x.y-z`;
  const pathOf = (key: string) => `/jobs/key=${encodeURIComponent(key)}`;
  const upsert = (given: Record<string, unknown>, paths?: string[]) =>
    rig.jobs.updateJob({ job: given, allowMissing: true, ...(paths && { updateMask: { paths } }) });

  it("is read, changed, paused, run and deleted by it, over each face, while its id stays a UUID", async () => {
    const key = newKey();
    const { json } = await send("POST", "/jobs", { ...job, key });
    expect(json).toMatchObject({ key, job_id: expect.stringMatching(/^[0-9a-f-]{36}$/) });
    const path = pathOf(key);
    expect((await send("GET", path)).json).toMatchObject({ key, job_id: json.job_id });
    expect((await rig.jobs.getJob({ jobId: `key=${key}` })).jobId).toBe(json.job_id);
    expect((await send("PATCH", path, { display_name: "n" })).json).toMatchObject({
      display_name: "n",
      key,
      generation: 2,
    });
    expect((await send("POST", `${path}:pause`)).json.state).toBe("PAUSED");
    expect((await send("POST", `${path}:resume`)).json.state).toBe("ACTIVE");
    expect((await send("POST", `${path}:run`)).json.execution_id).toMatch(new RegExp(`^${json.job_id}-m`));
    expect((await send("DELETE", path)).status).toBe(200);
    expect((await send("GET", path)).status).toBe(404);
    expect((await send("GET", `/jobs/${json.job_id}`)).status).toBe(404);
  });

  it("has none when it is created without, and any number of jobs has none", async () => {
    for (let time = 0; time < 2; time++) expect((await rig.create()).key).toBe("");
    expect(await refusalOf(rig.jobs.getJob({ jobId: "key=" }))).toMatchObject({ code: "NOT_FOUND" });
  });

  it.each([
    "",
    "a b",
    "ä",
    "a\n",
    "a%2Fb",
    "x".repeat(129),
    "a=b",
    "a\u0000",
  ])("takes no key such as %j", async (key) => {
    const calls = [
      () => rig.jobs.createJob({ job: { ...everyHour, key: key || " " } }),
      () => upsert({ ...everyHour, jobId: `key=${key}` }),
      () => upsert({ ...everyHour, key: key || " " }),
    ];
    for (const [index, call] of calls.entries()) {
      const refusal = await refusalOf(call());
      expect(refusal).toMatchObject({ code: "INVALID_ARGUMENT" });
      expect(fieldsOf(refusal)).toEqual([key === "" && index === 1 ? "job.job_id" : "job.key"]);
    }
  });

  it("takes keys at their bounds, and one that looks like an id is no id", async () => {
    for (const key of ["x", "x".repeat(128), "..", "/", ":pause"]) {
      const created = await rig.create({ key });
      expect((await send("GET", pathOf(key))).json.job_id).toBe(created.jobId);
      await rig.jobs.deleteJob({ jobId: `key=${key}` });
    }
    const { jobId } = await rig.create();
    const other = await rig.create({ key: jobId });
    expect((await rig.jobs.getJob({ jobId })).key).toBe("");
    expect((await rig.jobs.getJob({ jobId: `key=${jobId}` })).jobId).toBe(other.jobId);
  });

  it("refuses a key that is taken, by its field and with the job that has it, on a creation and on a change", async () => {
    const key = newKey();
    const { jobId } = await rig.create({ key });
    const other = await rig.create();
    const created = await send("POST", "/jobs", { ...job, key });
    expect([created.status, created.json.error.status, reasonOf(created)]).toEqual([
      409,
      "ALREADY_EXISTS",
      "KEY_TAKEN",
    ]);
    expect(violationsOf(created)).toEqual([{ field: "key", description: `is the key of the job ${jobId}` }]);
    expect(created.json.error.details[0].metadata).toEqual({ job_id: jobId });
    const changed = await refusalOf(rig.jobs.updateJob({ job: { jobId: other.jobId, key } }));
    expect(changed).toMatchObject({ code: "ALREADY_EXISTS", metadata: { job_id: jobId } });
    expect(fieldsOf(changed)).toEqual(["job.key"]);
    expect(await rig.jobs.getJob({ jobId: other.jobId })).toEqual({ ...other, nextRunTime: expect.anything() });
    const requests = [{ job: { ...everyHour, key: newKey() } }, { job: { ...everyHour, key } }];
    expect(fieldsOf(await refusalOf(rig.jobs.batchCreateJobs({ requests })))).toEqual(["requests[1].job.key"]);
    expect(await refusalOf(rig.jobs.getJob({ jobId: `key=${requests[0]?.job.key}` }))).toMatchObject({
      code: "NOT_FOUND",
    });
  });

  it("answers a repeated call as before, whatever became of its key", async () => {
    const key = newKey();
    const call = () => rig.jobs.createJob({ job: { ...everyHour, key }, requestId: key });
    const first = await call();
    expect(await call()).toEqual(first);
    const run = () => rig.jobs.runJob({ jobId: `key=${key}`, requestId: key });
    const { executionId } = await run();
    await rig.jobs.deleteJob({ jobId: `key=${key}` });
    expect(await call()).toEqual(first);
    expect((await run()).executionId).toBe(executionId);
    await rig.create({ key });
    expect((await call()).jobId).toBe(first.jobId);
    expect((await run()).executionId).toBe(executionId);
    expect(await refusalOf(rig.jobs.runJob({ jobId: `key=${newKey()}`, requestId: key }))).toMatchObject({
      reason: "REQUEST_ID_REUSED",
    });
    expect(await refusalOf(rig.jobs.runJob({ jobId: `key=${newKey()}` }))).toMatchObject({ reason: "JOB_NOT_FOUND" });
  });

  it("may get one later, another one, and none again; what it had is free at once", async () => {
    const [first, second] = [newKey(), newKey()];
    const { jobId } = await rig.create();
    expect(await rig.jobs.updateJob({ job: { jobId, key: first } })).toMatchObject({ key: first, generation: 2 });
    expect((await send("PATCH", pathOf(first), { key: second })).json).toMatchObject({ key: second, job_id: jobId });
    const heir = await rig.create({ key: first });
    expect((await send("PATCH", pathOf(second), { key: null })).json).toMatchObject({ key: "", job_id: jobId });
    expect(await rig.jobs.updateJob({ job: { jobId: heir.jobId, key: second } })).toMatchObject({ key: second });
    await rig.jobs.deleteJob({ jobId: heir.jobId });
    expect((await rig.create({ key: second })).jobId).not.toBe(heir.jobId);
  });

  it('keeps the key by which it is named under "*", and loses it under "*" where its id names it', async () => {
    const key = newKey();
    const { jobId } = await rig.create({ key, displayName: "old" });
    const all = { updateMask: { paths: ["*"] } };
    const kept = await rig.jobs.updateJob({ job: { ...everyHour, jobId: `key=${key}` }, ...all });
    expect(kept).toMatchObject({ key, displayName: "", generation: 2 });
    expect(await rig.jobs.updateJob({ job: { ...everyHour, jobId }, ...all })).toMatchObject({
      key: "",
      generation: 3,
    });
  });

  it("takes back what a client got by its key, its id with it", async () => {
    const key = newKey();
    const { json } = await send("POST", "/jobs", { ...job, key });
    const path = pathOf(key);
    const got = (await send("GET", path)).json;
    expect((await send("PATCH", path, got)).json).toMatchObject({ generation: 1, etag: json.etag });
    expect((await send("PATCH", path, { ...got, display_name: "n" })).json).toMatchObject({
      generation: 2,
      job_id: json.job_id,
    });
    const other = await rig.create();
    const wrong = await send("PATCH", `/jobs/${other.jobId}`, got);
    expect([wrong.status, violationsOf(wrong)]).toMatchObject([400, [{ field: "job_id" }]]);
  });

  describe("that is upserted", () => {
    it("is created where it is missing, whatever the mask, and changed where it is there", async () => {
      const key = newKey();
      const first = await send("PATCH", `${pathOf(key)}?allow_missing=true&update_mask=display_name`, {
        ...job,
        display_name: "n",
      });
      expect(first.json).toMatchObject({ key, display_name: "n", schedule: "@hourly", generation: 1 });
      const second = await send("PATCH", `${pathOf(key)}?allow_missing=true`, { schedule: "@daily" });
      expect(second.json).toMatchObject({
        job_id: first.json.job_id,
        display_name: "n",
        schedule: "@daily",
        generation: 2,
      });
      expect(await upsert({ key, displayName: "by its key alone" })).toMatchObject({
        jobId: first.json.job_id,
        generation: 3,
      });
    });

    it("changes nothing the second time: no generation, etag, instant or message", async () => {
      const key = newKey();
      const definition = {
        ...everyHour,
        key,
        labels: { b: "2", a: "1" },
        http: { headers: { "X-B": "2", "X-A": "1" } },
      };
      const first = await upsert(definition, ["*"]);
      const told = await rig.told();
      rig.shiftMs += 60_000;
      const written = { ...definition, timeZone: "UTC", retry: { maxAttempts: 2 }, labels: { a: "1", b: "2" } };
      for (const same of [definition, written]) {
        delete first.warning;
        expect(await upsert(same, ["*"])).toEqual(first);
      }
      rig.shiftMs -= 60_000;
      expect(await rig.told()).toBe(told);
    });

    it("is one job of however many that are upserted at once", async () => {
      const key = newKey();
      const answers = await Promise.all(Array.from({ length: 20 }, () => upsert({ ...everyHour, key })));
      expect(new Set(answers.map(({ jobId }) => jobId)).size).toBe(1);
      expect(answers.map(({ generation }) => generation)).toEqual(answers.map(() => 1));
    });

    it("is held to the rules of a creation where it is missing", async () => {
      const refused: [Record<string, unknown>, string[]][] = [
        [{ key: newKey() }, ["job.schedule", "job.api_endpoint", "job.type"]],
        [{ ...everyHour, key: newKey(), schedule: "nope" }, ["job.schedule"]],
        [{ ...everyHour, key: newKey(), schedule: "@at 2020-01-01T00:00:00Z" }, ["job.schedule"]],
        [{ ...everyHour, jobId: `key=${newKey()}`, key: newKey() }, ["job.key"]],
        [{ ...everyHour }, ["job.job_id"]],
      ];
      for (const [given, fields] of refused) expect(fieldsOf(await refusalOf(upsert(given)))).toEqual(fields);
      const unserved = await refusalOf(upsert({ ...everyHour, key: newKey(), jitter: { seconds: 1n } }));
      expect(unserved).toMatchObject({ code: "UNIMPLEMENTED", metadata: { field: "job.jitter" } });
      const { jobId } = await rig.create();
      expect((await upsert({ jobId, displayName: "n" })).generation).toBe(2);
      await rig.jobs.deleteJob({ jobId });
      expect(await refusalOf(upsert({ ...everyHour, jobId }))).toMatchObject({ code: "NOT_FOUND" });
    });

    it("is not created for one who knows a state of it, by etag or If-Match", async () => {
      const key = newKey();
      const etag = "MTox";
      expect(await refusalOf(upsert({ ...everyHour, key, etag }))).toMatchObject({ reason: "ETAG_MISMATCH" });
      const path = `${pathOf(key)}?allow_missing=true`;
      expect((await send("PATCH", path, job, { "if-match": `"${etag}"` })).status).toBe(412);
      expect((await send("PATCH", path, job, { "if-match": "*" })).status).toBe(404);
      const { json } = await send("PATCH", path, job);
      expect((await send("PATCH", path, { ...job, display_name: "n" }, { "if-match": "*" })).json.generation).toBe(2);
      expect((await send("PATCH", path, { ...job, display_name: "m", etag: json.etag })).status).toBe(409);
    });
  });

  describe("that is only validated", () => {
    it("is answered as it would be, without id and etag, and is not there", async () => {
      const key = newKey();
      const told = await rig.told();
      const created = await send("POST", `/jobs?validate_only=true&request_id=${encodeURIComponent(key)}`, {
        ...job,
        key,
      });
      expect(created.json).toMatchObject({ key, job_id: "", etag: "", schedule: "@hourly", generation: 1 });
      expect(created.json.warning).toBeUndefined();
      expect((await send("PATCH", `${pathOf(key)}?allow_missing=true&validate_only=true`, job)).json).toMatchObject({
        key,
        job_id: "",
      });
      const batch = await send("POST", "/jobs:batchCreate", {
        requests: [{ job: { ...job, key } }],
        validate_only: true,
      });
      expect(batch.json).toMatchObject({ jobs: [{ key, job_id: "" }] });
      expect((await send("GET", pathOf(key))).status).toBe(404);
      expect(await rig.told()).toBe(told);
      // The request id is as if it had not been used.
      expect((await rig.jobs.createJob({ job: { ...everyHour, schedule: "@daily" }, requestId: key })).schedule).toBe(
        "@daily",
      );
    });

    it("is changed as little", async () => {
      const stored = await rig.create({ key: newKey() });
      const { jobId, etag } = stored;
      const change = (given: Record<string, unknown>) =>
        rig.jobs.updateJob({ job: { jobId, ...given }, validateOnly: true });
      expect(await change({ displayName: "n" })).toMatchObject({ jobId, displayName: "n", generation: 2, etag: "" });
      expect(await change({ schedule: everyHour.schedule })).toMatchObject({ generation: 1, etag });
      expect(await rig.jobs.getJob({ jobId })).toMatchObject({ displayName: "", generation: 1, etag });
    });

    it("is refused as the real call would be", async () => {
      const key = newKey();
      const { jobId } = await rig.create({ key });
      const used = { job: { ...everyHour, displayName: "used" }, requestId: newKey() };
      const first = await rig.jobs.createJob(used);
      delete first.warning;
      const validateOnly = true;
      expect(await rig.jobs.createJob({ ...used, validateOnly })).toEqual(first);
      const calls = [
        [() => rig.jobs.createJob({ job: { ...everyHour, key }, validateOnly }), "KEY_TAKEN"],
        [() => rig.jobs.createJob({ job: { ...everyHour, schedule: "no" }, validateOnly }), "SCHEDULE_INVALID"],
        [() => rig.jobs.createJob({ ...used, job: everyHour, validateOnly }), "REQUEST_ID_REUSED"],
        [() => rig.jobs.updateJob({ job: { jobId: first.jobId, key }, validateOnly }), "KEY_TAKEN"],
        [() => rig.jobs.updateJob({ job: { jobId, etag: "stale", displayName: "n" }, validateOnly }), "ETAG_MISMATCH"],
        [() => rig.jobs.updateJob({ job: { jobId, schedule: "no" }, validateOnly }), "SCHEDULE_INVALID"],
        [
          () => rig.jobs.updateJob({ job: { jobId: `key=${newKey()}`, schedule: "no" }, validateOnly }),
          "JOB_NOT_FOUND",
        ],
      ] as const;
      for (const [call, reason] of calls) expect(await refusalOf(call())).toMatchObject({ reason });
    });
  });

  it("is deleted once, and is deleted already where that may be", async () => {
    const key = newKey();
    await rig.create({ key });
    const remove = (allowMissing: boolean) => rig.jobs.deleteJob({ jobId: `key=${key}`, allowMissing });
    await remove(false);
    expect(await refusalOf(remove(false))).toMatchObject({
      reason: "JOB_NOT_FOUND",
      metadata: { job_id: `key=${key}` },
    });
    await remove(true);
    expect((await send("DELETE", `${pathOf(key)}?allow_missing=true`)).status).toBe(200);
  });

  it("stays by a restart", async () => {
    const key = newKey();
    const { jobId } = await rig.create({ key });
    await rig.jobs.pauseJob({ jobId: `key=${key}` });
    await rig.restart();
    expect(await rig.jobs.getJob({ jobId: `key=${key}` })).toMatchObject({ jobId, state: JobState.PAUSED });
  });
});
