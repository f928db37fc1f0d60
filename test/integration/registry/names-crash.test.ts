import { afterAll, beforeAll, expect, it } from "vitest";
import { everyHour, type RegistryProcess, removeDir, spawnRegistry, tempDir } from "../../support/registry.ts";

const rounds = 2;
const callers = 4;
const batchSize = 20;
const answersARound = 25;
const keysOf = (batch: number) => Array.from({ length: batchSize }, (_, index) => `${batch}/${index}`);

let dataDir: string;
beforeAll(async () => {
  dataDir = await tempDir();
});
afterAll(() => removeDir(dataDir));

/** Callers that apply the same batches, over and over, each time under another name; until the registry is gone. */
async function applyUntilKilled(registry: RegistryProcess, round: number, note: (batch: number, name: string) => void) {
  const apply = async (caller: number) => {
    for (let turn = 0; ; turn++) {
      const batch = (turn + caller) % 7;
      const name = `${round}.${caller}.${turn}`;
      const requests = keysOf(batch).map((key) => ({
        job: { ...everyHour, key, displayName: name },
        allowMissing: true,
      }));
      await registry.jobs.batchUpdateJobs({ requests });
      note(batch, name);
    }
  };
  await Promise.allSettled(Array.from({ length: callers }, (_, caller) => apply(caller)));
}

it("after a kill -9 each key has one job, and each batch is there in full as one of its callers had it", async () => {
  const start = () => spawnRegistry({ dataDir, natsUrl: "nats://127.0.0.1:9" });
  const ids = new Map<string, string>();
  const answered = new Set<number>();
  let registry = await start();
  for (let round = 0; round < rounds; round++) {
    let answers = 0;
    let killed: Promise<void> | undefined;
    await applyUntilKilled(registry, round, (batch) => {
      answered.add(batch);
      if (++answers === answersARound) killed = registry.kill("SIGKILL");
    });
    await killed;
    registry = await start();
    const { jobs } = await registry.jobs.listJobs({ pageSize: 1_000 });
    const byKey = new Map(jobs.map((job) => [job.key, job]));
    expect(byKey.size).toBe(jobs.length);
    for (const batch of answered) {
      const found = keysOf(batch).map((key) => byKey.get(key));
      expect(new Set(found.map((job) => job?.displayName)).size, `batch ${batch}`).toBe(1);
      expect(new Set(found.map((job) => job?.generation)).size, `batch ${batch}`).toBe(1);
    }
    // A job that was there keeps its id.
    for (const [key, jobId] of ids) expect(byKey.get(key)?.jobId).toBe(jobId);
    for (const { key, jobId } of jobs) ids.set(key, jobId);
    const { jobs: named } = await registry.jobs.batchGetJobs({ jobIds: jobs.map(({ key }) => `key=${key}`) });
    expect(named.map(({ jobId }) => jobId)).toEqual(jobs.map(({ jobId }) => jobId));
  }
  await registry.kill("SIGKILL");
});
