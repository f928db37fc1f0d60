import { describe, expect, it } from "vitest";
import { JobState } from "../../../gen/carillon/v1/job_pb.ts";
import { reasonOf, violationsOf } from "../../support/front-door.ts";
import { useLoneRegistry } from "../../support/lone-registry.ts";
import { refusalOf } from "../../support/refusal.ts";
import { everyHour } from "../../support/registry.ts";

describe("what HTTP asks first", () => {
  const rig = useLoneRegistry();
  const send = async (verb: string, path: string, headers: Record<string, string> = {}, body?: unknown) => {
    const answer = await fetch(`http://127.0.0.1:${rig.registry.addresses.http.port}${path}`, {
      method: verb,
      headers,
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    const etag = answer.headers.get("etag");
    return { status: answer.status, etag, text, json: text === "" ? undefined : JSON.parse(text) };
  };
  const onJob = async () => {
    const { jobId } = await rig.create();
    const path = `/jobs/${jobId}`;
    const { etag } = await send("GET", path);
    return { jobId, path, etag: etag ?? "" };
  };

  it("has the etag of a job in each answer that shows one, in quotes", async () => {
    const { path, etag } = await onJob();
    const { json } = await send("GET", path);
    expect(etag).toBe(`"${json.etag}"`);
    expect((await send("HEAD", path)).etag).toBe(etag);
    const changed = await send("PATCH", path, {}, { display_name: "n" });
    expect(changed.etag).toBe(`"${changed.json.etag}"`);
    expect(changed.etag).not.toBe(etag);
    const created = await send(
      "POST",
      "/jobs",
      {},
      { schedule: "@daily", api_endpoint: "http://x/", type: "ATLEAST_ONCE" },
    );
    expect(created.etag).toBe(`"${created.json.etag}"`);
    expect((await send("GET", "/jobs")).etag).toBeNull();
  });

  const writes: [string, string, string, unknown][] = [
    ["a change", "PATCH", "", { display_name: "late" }],
    ["a pause", "POST", ":pause", {}],
    ["a pause without a body", "POST", ":pause", undefined],
    ["a resumption", "POST", ":resume", {}],
    ["a deletion", "DELETE", "", undefined],
  ];
  it.each(writes)("does not make %s of a job that somebody else has changed since", async (_, verb, custom, body) => {
    const { jobId, path, etag } = await onJob();
    await send("PATCH", path, {}, { display_name: "first" });
    for (const stale of [etag, `W/${etag}`, '""', `W/"x", W/"y"`]) {
      const answer = await send(verb, path + custom, { "if-match": stale }, body);
      expect([answer.status, answer.json.error.code, answer.json.error.status]).toEqual([412, 412, "ABORTED"]);
      expect(reasonOf(answer)).toBe("ETAG_MISMATCH");
    }
    expect(await rig.jobs.getJob({ jobId })).toMatchObject({
      displayName: "first",
      generation: 2,
      state: JobState.ACTIVE,
    });
  });

  it.each(
    writes,
  )("makes %s of a job that is as it was read, or that is there at all", async (_, verb, custom, body) => {
    for (const ifMatch of ["current", "*"]) {
      const { path, etag } = await onJob();
      const answer = await send(verb, path + custom, { "if-match": ifMatch === "*" ? "*" : etag }, body);
      expect(answer.status).toBe(200);
    }
    const nowhere = `/jobs/01999999-0000-7000-8000-000000000000${custom}`;
    expect((await send(verb, nowhere, { "if-match": "*" }, body)).status).toBe(404);
  });

  it("tells a conflict that the body asks about as before", async () => {
    const { path, etag } = await onJob();
    await send("PATCH", path, {}, { display_name: "first" });
    const stale = etag.slice(1, -1);
    expect((await send("PATCH", path, {}, { display_name: "x", etag: stale })).status).toBe(409);
    expect((await send("DELETE", `${path}?etag=${stale}`)).status).toBe(409);
    const both = await send("PATCH", path, { "if-match": '"other"' }, { display_name: "x", etag: stale });
    expect(both.status).toBe(400);
    expect(violationsOf(both)).toEqual([{ field: "etag", description: "is not the one in If-Match" }]);
  });

  it("refuses conditions that a write cannot be held to, and does nothing", async () => {
    const { jobId, path, etag } = await onJob();
    const job = { schedule: "@daily", api_endpoint: "http://x/", type: "ATLEAST_ONCE" };
    const refused: [string, string, Record<string, string>, unknown][] = [
      ["POST", "/jobs", { "if-match": "*" }, job],
      ["POST", "/jobs", { "if-none-match": "*" }, job],
      ["POST", "/jobs:batchCreate", { "if-match": etag }, { requests: [{ job }] }],
      ["POST", `${path}:run`, { "if-match": etag }, {}],
      ["PATCH", path, { "if-none-match": '"other"' }, { display_name: "x" }],
      ["PATCH", path, { "if-match": `"a", ${etag}` }, { display_name: "x" }],
      ["PATCH", path, { "if-match": `${etag} junk` }, { display_name: "x" }],
      ["PATCH", path, { "if-match": `${etag}, bare` }, { display_name: "x" }],
      ["PATCH", path, { "if-match": "bare" }, { display_name: "x" }],
      ["PATCH", path, { "if-match": '"open' }, { display_name: "x" }],
      ["PATCH", path, { "if-match": "" }, { display_name: "x" }],
    ];
    const before = (await rig.jobs.listJobs({})).jobs.length;
    for (const [verb, at, headers, body] of refused) {
      const answer = await send(verb, at, headers, body);
      expect([verb, at, headers, answer.status]).toEqual([verb, at, headers, 400]);
      const [header = ""] = Object.keys(headers);
      expect(violationsOf(answer)).toMatchObject([{ field: expect.stringMatching(new RegExp(`^${header}$`, "i")) }]);
    }
    expect((await rig.jobs.listJobs({})).jobs).toHaveLength(before);
    expect((await rig.jobs.getJob({ jobId })).generation).toBe(1);
  });

  it("says in short that a job is as the caller has it", async () => {
    const { path, etag } = await onJob();
    for (const known of [etag, `W/${etag}`, `"a", ${etag},"b"`, "*"]) {
      expect(await send("GET", path, { "if-none-match": known })).toMatchObject({ status: 304, etag, text: "" });
    }
    expect((await send("GET", path, { "if-none-match": '"other"' })).json.etag).toBe(etag.slice(1, -1));
    expect((await send("GET", path, { "if-match": '"other"' })).status).toBe(412);
    expect((await send("GET", path, { "if-match": `"other", ${etag}` })).status).toBe(200);
    expect((await send("GET", "/jobs", { "if-none-match": etag })).status).toBe(200);
    expect((await send("GET", "/jobs", { "if-match": etag })).status).toBe(400);
  });

  it("holds a pause and a resumption over gRPC to their etag as well", async () => {
    const { jobId, etag } = await rig.jobs.createJob({ job: everyHour });
    const paused = await rig.jobs.pauseJob({ jobId, etag });
    expect(paused.state).toBe(JobState.PAUSED);
    for (const call of [rig.jobs.pauseJob, rig.jobs.resumeJob]) {
      expect(await refusalOf(call({ jobId, etag }))).toMatchObject({ code: "ABORTED", reason: "ETAG_MISMATCH" });
    }
    expect((await rig.jobs.resumeJob({ jobId, etag: paused.etag })).state).toBe(JobState.ACTIVE);
  });
});
