import { describe, expect, it } from "vitest";
import { type Job, JobState } from "../../../gen/carillon/v1/job_pb.ts";
import { RpcError } from "../../../services/platform/rpc/errors/rpc-error.ts";
import { createDice } from "../../simulation/random.ts";
import { useLoneRegistry } from "../../support/lone-registry.ts";
import { everyHour } from "../../support/registry.ts";

const seeds = Array.from({ length: 6 }, (_, seed) => seed);
const steps = 150;
const keys = ["a", "a/b", "a:b", "c", "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"];

interface Modelled {
  key: string;
  displayName: string;
  env: string;
  paused: boolean;
  generation: number;
}
type Jobs = Map<string, Modelled>;
/** A change of one job, as it is asked for. */
interface Ask {
  name: { id: string } | { key: string };
  given: { key?: string; displayName?: string; env?: string };
  all: boolean;
  allowMissing: boolean;
}
class Refused extends Error {}
const refuse = (reason: string): never => {
  throw new Refused(reason);
};

/** What the calls promise, in its plainest form: over a copy of all jobs, which counts if nothing was refused. */
function changed(jobs: Jobs, asks: readonly Ask[], nextId: () => string): { jobs: Jobs; ids: string[] } {
  const next: Jobs = new Map([...jobs].map(([id, job]) => [id, { ...job }]));
  const ids = asks.map(
    ({ name }, index) =>
      ("id" in name ? (jobs.has(name.id) ? name.id : "") : idOfKey(jobs, name.key)) || `new ${index}`,
  );
  const names = asks.map(({ name }, index) => (jobs.has(ids[index] ?? "") ? ids[index] : JSON.stringify(name)));
  if (new Set(names).size < names.length) refuse("JOB_NAMED_TWICE");
  for (const [index, ask] of asks.entries()) {
    const id = ids[index] ?? "";
    const job = next.get(id);
    const { name, given, all } = ask;
    if (!job) {
      if (!ask.allowMissing || "id" in name) refuse("JOB_NOT_FOUND");
      const fresh = nextId();
      ids[index] = fresh;
      const key = "key" in name ? name.key : "";
      next.set(fresh, {
        key,
        displayName: given.displayName ?? "",
        env: given.env ?? "",
        paused: false,
        generation: 1,
      });
      continue;
    }
    const kept = "key" in name && (all || ask.allowMissing) ? name.key : undefined;
    const key = given.key ?? kept ?? (all ? "" : job.key);
    const displayName = given.displayName ?? (all ? "" : job.displayName);
    const env = given.env ?? (all ? "" : job.env);
    if (key === job.key && displayName === job.displayName && env === job.env) continue;
    Object.assign(job, { key, displayName, env, generation: job.generation + 1 });
  }
  requireUniqueKeys(next);
  return { jobs: next, ids };
}

function requireUniqueKeys(jobs: Jobs): void {
  const used = [...jobs.values()].map(({ key }) => key).filter((key) => key !== "");
  if (new Set(used).size < used.length) refuse("KEY_TAKEN");
}

const idOfKey = (jobs: Jobs, key: string) => [...jobs].find(([, job]) => job.key === key)?.[0] ?? "";

const seen = (job: Job): Modelled => ({
  key: job.key,
  displayName: job.displayName,
  env: job.labels.env ?? "",
  paused: job.state === JobState.PAUSED,
  generation: job.generation,
});

function definitionOf({ key, displayName, env }: Ask["given"]) {
  return {
    ...(key !== undefined && { key }),
    ...(displayName !== undefined && { displayName }),
    ...(env !== undefined && { labels: { env } }),
  };
}

describe("jobs by their keys", () => {
  const rig = useLoneRegistry();

  it.each(
    seeds,
  )("are what the plain rules make of them: repeats, batches, renames, restarts (seed %i)", async (seed) => {
    const dice = createDice(seed);
    let model: Jobs = new Map();
    const text = (pool: readonly string[]) => (dice.chance(0.5) ? dice.pick(pool) : undefined);
    const set = <K extends string>(name: K, value: string | undefined) =>
      value === undefined ? {} : { [name]: value };
    const given = () => ({ ...set("displayName", text(["x", "y"])), ...set("env", text(["p", "q"])) });
    const anyId = () =>
      model.size > 0 && dice.chance(0.9) ? dice.pick([...model.keys()]) : "01900000-0000-7000-8000-000000000000";
    const anyName = (): Ask["name"] => (dice.chance(0.5) ? { key: dice.pick(keys) } : { id: anyId() });
    const idOf = (name: Ask["name"]) => ("id" in name ? name.id : `key=${name.key}`);
    const ask = (): Ask => {
      const name = anyName();
      const allowMissing = dice.chance(0.6);
      const rename = dice.chance(0.3) && !("key" in name && allowMissing);
      return {
        name,
        allowMissing,
        all: dice.chance(0.5),
        given: { ...given(), ...(rename && { key: dice.pick(keys) }) },
      };
    };
    const requestOf = ({ name, given: fields, all, allowMissing }: Ask) => ({
      job: {
        ...(all || allowMissing ? everyHour : {}),
        ...definitionOf(fields),
        ...("key" in name && dice.chance(0.3) && fields.key === undefined ? { key: name.key } : { jobId: idOf(name) }),
      },
      ...(all && { updateMask: { paths: ["*"] } }),
      allowMissing,
    });
    let made = 0;
    const nextId = () => `made ${++made}`;
    /** Makes a call, and expects of it what the model says. */
    const expectLike = async (
      expected: () => { jobs: Jobs; ids: string[] },
      call: () => Promise<readonly Job[]>,
      only: boolean,
    ) => {
      let plan: { jobs: Jobs; ids: string[] } | undefined;
      let reason: string | undefined;
      try {
        plan = expected();
      } catch (error) {
        if (!(error instanceof Refused)) throw error;
        reason = error.message;
      }
      const answers = await call().catch((error: unknown) => error);
      if (!plan) {
        expect(answers instanceof RpcError ? answers.reason : answers).toBe(reason);
        return;
      }
      if (!Array.isArray(answers)) throw answers;
      const { jobs, ids } = plan;
      expect(answers.map(seen)).toEqual(ids.map((id) => jobs.get(id)));
      if (only) return;
      const real = new Map(ids.map((id, index) => [id, (answers[index] as Job).jobId]));
      model = new Map([...jobs].map(([id, job]) => [real.get(id) ?? id, job]));
    };

    await rig.jobs
      .listJobs({ pageSize: 1_000 })
      .then(({ jobs }) =>
        jobs.length === 0 ? undefined : rig.jobs.batchDeleteJobs({ jobIds: jobs.map(({ jobId }) => jobId) }),
      );
    const actions: Record<string, (only: boolean) => Promise<void>> = {
      async update(only) {
        const one = ask();
        await expectLike(
          () => changed(model, [one], nextId),
          async () => [await rig.jobs.updateJob({ ...requestOf(one), validateOnly: only })],
          only,
        );
      },
      async batchUpdate(only) {
        const asks = Array.from({ length: dice.between(1, 4) }, ask);
        const requests = asks.map(requestOf);
        await expectLike(
          () => changed(model, asks, nextId),
          async () => (await rig.jobs.batchUpdateJobs({ requests, validateOnly: only })).jobs,
          only,
        );
      },
      async create(only) {
        const all = Array.from({ length: dice.between(1, 3) }, (): Ask["given"] => ({
          ...given(),
          key: dice.chance(0.5) ? dice.pick(keys) : "",
        }));
        const expected = () => {
          const jobs: Jobs = new Map(model);
          const ids = all.map(() => nextId());
          for (const [index, { key = "", displayName = "", env = "" }] of all.entries()) {
            jobs.set(ids[index] ?? "", { key, displayName, env, paused: false, generation: 1 });
          }
          requireUniqueKeys(jobs);
          return { jobs, ids };
        };
        const requests = all.map((fields) => ({ job: { ...everyHour, ...definitionOf(fields) } }));
        await expectLike(
          expected,
          async () => (await rig.jobs.batchCreateJobs({ requests, validateOnly: only })).jobs,
          only,
        );
      },
      async remove(only) {
        const names = Array.from({ length: dice.between(1, 3) }, anyName);
        const allowMissing = dice.chance(0.5);
        const ids = names.map((name) => ("id" in name ? name.id : idOfKey(model, name.key)));
        const there = new Set(ids.filter((id) => model.has(id)));
        const call = rig.jobs.batchDeleteJobs({ jobIds: names.map(idOf), allowMissing, validateOnly: only });
        if (!allowMissing && ids.some((id) => !model.has(id))) {
          await expect(call).rejects.toMatchObject({ reason: "JOB_NOT_FOUND" });
          return;
        }
        expect((await call).deletedCount).toBe(there.size);
        if (!only) for (const id of there) model.delete(id);
      },
      async pause() {
        const name = anyName();
        const id = "id" in name ? name.id : idOfKey(model, name.key);
        const paused = dice.chance(0.5);
        const call = paused ? rig.jobs.pauseJob({ jobId: idOf(name) }) : rig.jobs.resumeJob({ jobId: idOf(name) });
        const job = model.get(id);
        if (!job) {
          await expect(call).rejects.toMatchObject({ reason: "JOB_NOT_FOUND" });
          return;
        }
        if (job.paused !== paused) Object.assign(job, { paused, generation: job.generation + 1 });
        expect(seen(await call)).toEqual(job);
      },
      async purge(only) {
        const env = dice.pick(["p", "q"]);
        const found = [...model].filter(([, job]) => job.env === env);
        const most = dice.between(1, 5);
        const filter = `labels.env = "${env}"`;
        const { purgeCount, purgeSample } = await rig.jobs.purgeJobs({ filter, force: !only, maxCount: most });
        expect(purgeCount).toBe(only ? found.length : Math.min(most, found.length));
        for (const id of purgeSample) expect(model.get(id)?.env).toBe(env);
        if (!only) for (const id of purgeSample) model.delete(id);
      },
    };
    const names = ["update", "update", "batchUpdate", "batchUpdate", "create", "remove", "pause", "purge"];
    for (let step = 0; step < steps; step++) {
      const name = dice.pick(names);
      await actions[name]?.(dice.chance(0.2));
      if (dice.chance(0.02)) await rig.restart();
      const key = dice.pick(keys);
      const byKey = await rig.jobs.getJob({ jobId: `key=${key}` }).catch(() => undefined);
      expect([step, name, key, byKey?.jobId ?? ""]).toEqual([step, name, key, idOfKey(model, key)]);
    }
    const { jobs } = await rig.jobs.listJobs({ pageSize: 1_000 });
    expect(jobs.map((job) => [job.jobId, seen(job)])).toEqual([...model].sort(([a], [b]) => (a < b ? -1 : 1)));
    for (const env of ["p", "q"]) {
      const listed = await rig.jobs.listJobs({ filter: `labels.env = ${env}`, pageSize: 1_000 });
      expect(listed.jobs).toEqual(jobs.filter(({ labels }) => labels.env === env));
    }
  });
});
