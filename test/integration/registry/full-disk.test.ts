import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { formatAddress } from "../../../services/platform/process/environment.ts";
import { type Nats, startNats } from "../../support/nats.ts";
import {
  everyHour,
  followJobs,
  type JobsStream,
  type Registry,
  removeDir,
  startRegistry,
} from "../../support/registry.ts";
import { restClient } from "../../support/rest.ts";
import { canMount, mountSmallDisk, type SmallDisk } from "../../support/small-disk.ts";

const what = "the disk with the registry's data folder";
const restJob = { schedule: "@hourly", api_endpoint: "http://127.0.0.1:9/hook", type: "ATLEAST_ONCE" };

describe.runIf(canMount)("a registry whose disk is full", () => {
  let dataDir: string;
  let disk: SmallDisk;
  let nats: Nats;
  let registry: Registry;
  let stream: JobsStream;

  beforeAll(async () => {
    dataDir = await mkdtemp(`${tmpdir()}/carillon-full-`);
    disk = await mountSmallDisk(dataDir);
    nats = await startNats();
    registry = await startRegistry({ dataDir, natsUrl: nats.url });
    stream = await followJobs(nats.url);
  });
  afterAll(async () => {
    await stream?.stop();
    await registry?.stop();
    await nats?.stop();
    await disk?.unmount();
    await removeDir(dataDir);
  });

  /** Creates jobs until one is refused: what was free in the files is used up then. */
  const refusalOfCreate = async (created: string[]): Promise<unknown> => {
    for (;;) {
      try {
        created.push((await registry.jobs.createJob({ job: everyHour })).jobId);
      } catch (error) {
        return error;
      }
    }
  };
  const refusal = { code: "RESOURCE_EXHAUSTED", reason: "STORAGE_FULL", metadata: { full: what } };

  it("refuses on every face what it cannot keep, saying what is full, and goes on by itself when there is room, three times", async () => {
    const url = `http://${formatAddress(registry.addresses.http)}`;
    const rest = restClient(url);
    const kept: string[] = [];
    for (let round = 0; round < 3; round++) {
      const { jobId, displayName } = await registry.jobs.createJob({ job: { ...everyHour, displayName: "before" } });
      kept.push(jobId);
      disk.fill();
      expect(await refusalOfCreate(kept)).toMatchObject({
        ...refusal,
        message: `${what} is full: nothing was changed`,
      });
      for (const body of [{ display_name: "x".repeat(60) }, { http: { body: "x".repeat(50_000) } }]) {
        const changed = await rest.patch(`/jobs/${jobId}`, body);
        expect([changed.status, changed.body.error.status]).toEqual([429, "RESOURCE_EXHAUSTED"]);
      }
      const batch = await rest.post("/jobs:batchCreate", {
        requests: Array.from({ length: 500 }, () => ({ job: restJob })),
      });
      expect(batch.status).toBe(429);
      expect(batch.body.error.details[0]).toMatchObject({ reason: "STORAGE_FULL", metadata: { full: what } });
      const connect = await rest.post("/carillon.v1.JobService/RunJob", { jobId });
      expect([connect.status, connect.body.code]).toEqual([429, "resource_exhausted"]);
      await expect(registry.jobs.pauseJob({ jobId })).rejects.toMatchObject(refusal);
      await expect(registry.jobs.deleteJob({ jobId })).rejects.toMatchObject(refusal);
      // What is there can be read.
      expect(await registry.jobs.getJob({ jobId })).toMatchObject({ displayName, generation: 1, state: 1 });
      disk.free();
      kept.push((await registry.jobs.createJob({ job: everyHour })).jobId);
      expect((await registry.jobs.pauseJob({ jobId })).generation).toBe(2);
    }
    const listed: string[] = [];
    for (let pageToken = ""; ; ) {
      const page = await registry.jobs.listJobs({ pageSize: 1_000, pageToken });
      listed.push(...page.jobs.map((job) => job.jobId));
      pageToken = page.nextPageToken;
      if (pageToken === "") break;
    }
    expect(listed.sort()).toEqual(kept.sort());
    await stream.until((events) => kept.every((jobId) => events.has(jobId)));
    expect((await restClient(url).post("/jobs", restJob)).status).toBe(200);
  });
});
