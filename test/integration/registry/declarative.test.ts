import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Job } from "../../../gen/carillon/v1/job_pb.ts";
import { type Nats, startNats } from "../../support/nats.ts";
import { followJobs, type JobsStream, type Registry, startRegistry } from "../../support/registry.ts";
import { eventually } from "../../support/rest.ts";

const jobsInFile = 1_000;

let folder: string;
let nats: Nats;
let registry: Registry;
let stream: JobsStream;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "carillon-declarative-"));
  nats = await startNats();
  registry = await startRegistry({ dataDir: join(folder, "data"), natsUrl: nats.url });
  await writeFile(join(folder, "apply.mjs"), await readmeScript());
  stream = await followJobs(nats.url);
});
afterAll(async () => {
  await stream.stop();
  await registry.stop();
  await nats.stop();
  await rm(folder, { recursive: true });
});

/** The README's own lines, in a folder without packages. */
async function readmeScript(): Promise<string> {
  const readme = await readFile(new URL("../../../README.md", import.meta.url), "utf8");
  const section = readme.slice(readme.indexOf("### Declarative deployment"));
  const script = /```js\n([\s\S]*?)```/.exec(section)?.[1] ?? "";
  const { port } = registry.addresses.http;
  expect(script).toContain("127.0.0.1:8080");
  return script.replaceAll("127.0.0.1:8080", `127.0.0.1:${port}`);
}

async function apply(jobs: readonly object[]): Promise<string[]> {
  await writeFile(join(folder, "jobs.json"), JSON.stringify(jobs));
  const { stdout } = await promisify(execFile)(process.execPath, ["apply.mjs"], { cwd: folder });
  return stdout.trim().split("\n");
}

async function listAll(): Promise<Job[]> {
  const { jobs, nextPageToken } = await registry.jobs.listJobs({ pageSize: 1_000 });
  expect(nextPageToken).toBe("");
  return jobs;
}

/** What has gone to the stream, once nothing is left to be told. */
async function streamSequence(): Promise<number> {
  const { host, port } = registry.addresses.ops;
  await eventually(
    async () => await (await fetch(`http://${host}:${port}/metrics`)).text(),
    (text) => /^carillon_outbox_depth\S* 0$/m.test(text),
  );
  const { state } = await stream.broker.jsm.streams.info("JOBS");
  return state.last_seq;
}

const jobs = Array.from({ length: jobsInFile }, (_, number) => ({
  key: `billing/${number}:nightly`,
  schedule: number % 2 === 0 ? "H H * * *" : "@every 1h",
  api_endpoint: "http://127.0.0.1:9/hook",
  type: "ATLEAST_ONCE",
  labels: { z: "1", app: "billing" },
  http: { headers: { "X-Number": String(number) }, body: "{}" },
}));

it("a file of a thousand jobs is applied in calls of a hundred; the second time nothing changes at all", async () => {
  const created = await apply(jobs);
  expect(created).toEqual(Array.from({ length: 10 }, () => "created 100, changed 0, as they were 0"));
  await stream.until((events) => events.size === jobsInFile);
  const [before, sequence] = [await listAll(), await streamSequence()];
  expect(before).toHaveLength(jobsInFile);
  const again = await apply(jobs);
  expect(again).toEqual(Array.from({ length: 10 }, () => "created 0, changed 0, as they were 100"));
  expect(await listAll()).toEqual(before);
  expect(await streamSequence()).toBe(sequence);
});

it("what was changed in the file, or left out of a job there, is changed, and nothing else", async () => {
  const before = await listAll();
  const edited = jobs.map((job, number) => {
    if (number === 7) return { ...job, schedule: "@daily" };
    const { http, ...rest } = job;
    return number === 8 ? rest : job;
  });
  const lines = await apply(edited);
  expect(lines[0]).toBe("created 0, changed 2, as they were 98");
  const after = await listAll();
  const different = after.filter((job, index) => job.etag !== before[index]?.etag);
  expect(different).toMatchObject([
    { key: "billing/7:nightly", schedule: "@daily", generation: 2 },
    { key: "billing/8:nightly", http: { headers: {} }, generation: 2 },
  ]);
});

it("a file with a job that is wrong stops where it stands, and says which one and why", async () => {
  const wrong = jobs.slice(0, 200).map((job, number) => (number === 150 ? { ...job, schedule: "nope" } : job));
  const failed = await apply(wrong).catch((error: { stderr: string }) => error.stderr);
  expect(failed).toMatch(/requests\[50\]\.job\.schedule/);
});

it("what is changed or deleted together is with the broker by the time of the answer", async () => {
  const lastSequence = async () => (await stream.broker.jsm.streams.info("JOBS")).state.last_seq;
  const before = await streamSequence();
  const names = jobs.slice(200, 700).map(({ key }) => ({ jobId: `key=${key}` }));
  await registry.jobs.batchUpdateJobs({ requests: names.map((job) => ({ job: { ...job, displayName: "n" } })) });
  expect(await lastSequence()).toBe(before + 500);
  await registry.jobs.batchDeleteJobs({ jobIds: names.map(({ jobId }) => jobId) });
  expect(await lastSequence()).toBe(before + 1_000);
  const purged = await registry.jobs.purgeJobs({ filter: "labels.app = billing", force: true });
  expect([purged.purgeCount, purged.nextPageToken]).toEqual([500, ""]);
  expect(await lastSequence()).toBe(before + 1_500);
});
