import { afterAll, beforeAll } from "vitest";
import { systemClock } from "../../services/platform/process/clock.ts";
import { everyHour, type Registry, removeDir, startRegistry, tempDir } from "./registry.ts";

export interface LoneRegistry {
  readonly registry: Registry;
  readonly jobs: Registry["jobs"];
  /** How far its wall clock is ahead. */
  shiftMs: number;
  /** Stops it, and starts another one over the same data. */
  restart(): Promise<void>;
  /** How much it has still to tell the broker. */
  outbox(): Promise<number>;
  /** Creates the smallest job, with what is given. Its answer is without the warning that there is no broker. */
  create(job?: Record<string, unknown>): ReturnType<Registry["jobs"]["createJob"]>;
}

/** One registry for all tests that follow, with no broker anywhere. */
export function useLoneRegistry(): LoneRegistry {
  let dataDir: string;
  let registry: Registry;
  const clock = { ...systemClock, nowMs: () => systemClock.nowMs() + rig.shiftMs };
  const start = async () => {
    registry = await startRegistry({ dataDir, natsUrl: "nats://127.0.0.1:9" }, clock);
  };
  beforeAll(async () => {
    dataDir = await tempDir();
    await start();
  });
  afterAll(async () => {
    await registry.stop();
    await removeDir(dataDir);
  });
  const rig: LoneRegistry = {
    get registry() {
      return registry;
    },
    get jobs() {
      return registry.jobs;
    },
    shiftMs: 0,
    async restart() {
      await registry.stop();
      await start();
    },
    async outbox() {
      const { host, port } = registry.addresses.ops;
      const text = await (await fetch(`http://${host}:${port}/metrics`)).text();
      const depth = /^carillon_outbox_depth\S* (\d+)$/m.exec(text)?.[1];
      if (depth === undefined) throw new Error("there is no such metric");
      return Number(depth);
    },
    async create(job = {}) {
      const created = await registry.jobs.createJob({ job: { ...everyHour, ...job } });
      delete created.warning;
      return created;
    },
  };
  return rig;
}
