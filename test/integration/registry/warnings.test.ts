import { expect, it } from "vitest";
import { JobState } from "../../../gen/carillon/v1/job_pb.ts";
import { formatAddress } from "../../../services/platform/process/environment.ts";
import { useLoneRegistry } from "../../support/lone-registry.ts";
import { everyHour } from "../../support/registry.ts";
import { restClient } from "../../support/rest.ts";

const rig = useLoneRegistry({ withBroker: false });
const warning = "the broker cannot be reached, or its streams do not stand: nothing fires";
const job = { schedule: "@hourly", api_endpoint: "http://127.0.0.1:9/hook", type: "ATLEAST_ONCE" };
const http = () => restClient(`http://${formatAddress(rig.registry.addresses.http)}`);

it("a job that is created while nothing fires is kept, and its creator is warned, on each face", async () => {
  const grpc = await rig.jobs.createJob({ job: everyHour });
  const rest = await http().post("/jobs", job);
  const connect = await http().post("/carillon.v1.JobService/CreateJob", {
    job: { ...everyHour, type: "ATLEAST_ONCE" },
  });
  expect([grpc.warning, rest.status, rest.body.warning, connect.status, connect.body.warning]).toEqual([
    warning,
    200,
    warning,
    200,
    warning,
  ]);
  for (const jobId of [grpc.jobId, rest.body.job_id, connect.body.jobId]) {
    const kept = await rig.jobs.getJob({ jobId });
    // Of the moment, and not of the job.
    expect([kept.jobId, kept.warning]).toEqual([jobId, undefined]);
  }
});

it("so is one of many, and a run; a call that comes again is warned of what is then", async () => {
  const batch = await rig.jobs.batchCreateJobs({ requests: [{ job: everyHour }, { job: everyHour }] });
  expect([batch.warning, batch.jobs.map((one) => one.warning)]).toEqual([warning, [undefined, undefined]]);
  const jobId = batch.jobs[0]?.jobId ?? "";
  expect((await rig.jobs.runJob({ jobId })).warning).toBe(warning);
  const create = () => rig.jobs.createJob({ job: everyHour, requestId: "7b0a6a63-7a2c-4c7d-b02b-7f8a3d1f4a55" });
  const [first, second] = [await create(), await create()];
  expect([second.jobId, second.warning]).toEqual([first.jobId, warning]);
});

it("an upsert warns of what it has created, and not of what it has changed or left", async () => {
  const upsert = (displayName: string) =>
    rig.jobs.updateJob({ job: { ...everyHour, key: "nightly", displayName }, allowMissing: true });
  const warnings = [(await upsert("a")).warning, (await upsert("b")).warning, (await upsert("b")).warning];
  expect(warnings).toEqual([warning, undefined, undefined]);
  const requests = ["nightly", "weekly"].map((key) => ({ job: { ...everyHour, key }, allowMissing: true }));
  const batch = () => rig.jobs.batchUpdateJobs({ requests });
  expect([(await batch()).warning, (await batch()).warning]).toEqual([warning, undefined]);
});

it("a pause or a deletion then is stored, and refused as not heard of by anybody", async () => {
  const pending = { code: "UNAVAILABLE", reason: "CHANGE_PENDING", retryDelayMs: 1_000 };
  const [paused, deleted, batched] = await Promise.all([1, 2, 3].map(() => rig.jobs.createJob({ job: everyHour })));
  const jobId = paused?.jobId ?? "";
  await Promise.all([
    expect(rig.jobs.pauseJob({ jobId })).rejects.toMatchObject(pending),
    expect(rig.jobs.deleteJob({ jobId: deleted?.jobId ?? "" })).rejects.toMatchObject(pending),
    expect(rig.jobs.batchDeleteJobs({ jobIds: [batched?.jobId ?? ""] })).rejects.toMatchObject(pending),
  ]);
  expect(await rig.jobs.getJob({ jobId })).toMatchObject({ state: JobState.PAUSED, generation: 2 });
  // Again, and after a restart.
  const again = await http().post(`/jobs/${jobId}:pause`);
  expect([again.status, again.body.error.details[0].reason]).toEqual([503, "CHANGE_PENDING"]);
  await rig.restart();
  await expect(rig.jobs.pauseJob({ jobId })).rejects.toMatchObject(pending);
  // What was not there before is not pending, and neither is what is refused.
  await expect(rig.jobs.pauseJob({ jobId, etag: "other" })).rejects.toMatchObject({ reason: "ETAG_MISMATCH" });
  // Nobody relies on what goes on.
  expect((await rig.jobs.resumeJob({ jobId })).state).toBe(JobState.ACTIVE);
});

it("a deletion by key is waited for again by the id that its refusal names", async () => {
  const { jobId } = await rig.jobs.createJob({ job: { ...everyHour, key: "gone" } });
  const pending = { reason: "CHANGE_PENDING", metadata: { job_ids: jobId } };
  await expect(rig.jobs.deleteJob({ jobId: "key=gone" })).rejects.toMatchObject(pending);
  await expect(rig.jobs.deleteJob({ jobId: "key=gone" })).rejects.toMatchObject({ code: "NOT_FOUND" });
  await expect(rig.jobs.deleteJob({ jobId })).rejects.toMatchObject(pending);
});

it("the front door is alive then, and not ready, and says why", async () => {
  const { http: door, ops } = rig.registry.addresses;
  for (const address of [door, ops]) {
    const ask = (path: string) => fetch(`http://${formatAddress(address)}${path}`);
    expect([(await ask("/livez")).status, (await ask("/healthz")).status]).toEqual([200, 200]);
    const ready = await ask("/readyz");
    expect([ready.status, ready.headers.get("content-type")]).toEqual([503, "application/json"]);
    const body = (await ready.json()) as { status: string; conditions: unknown[] };
    expect(body.status).toBe("not_ready");
    expect(body.conditions).toContainEqual({ name: "broker", ok: false, message: warning });
  }
});
