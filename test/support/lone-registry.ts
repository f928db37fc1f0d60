import { afterAll, beforeAll } from "vitest";
import { type Broker, createBroker } from "../../services/platform/jetstream/broker.ts";
import { systemClock } from "../../services/platform/process/clock.ts";
import { createLog } from "../../services/platform/process/log.ts";
import { streams } from "../../services/wire/streams.ts";
import { type Nats, startNats } from "./nats.ts";
import { everyHour, type Registry, removeDir, startRegistry, tempDir } from "./registry.ts";
import { eventually } from "./rest.ts";

export interface LoneRegistry {
  readonly registry: Registry;
  readonly jobs: Registry["jobs"];
  /** How far its wall clock is ahead. */
  shiftMs: number;
  /** Stops it, and starts another one over the same data. */
  restart(): Promise<void>;
  /** How many changes of jobs it has told the broker, once it has told all. */
  told(): Promise<number>;
  /** Creates the smallest job, with what is given. Its answer is without the warning that nobody fires it. */
  create(job?: Record<string, unknown>): ReturnType<Registry["jobs"]["createJob"]>;
}

/** One registry for all tests that follow, with nobody beside it but a broker, or not even that. */
export function useLoneRegistry({ withBroker } = { withBroker: true }): LoneRegistry {
  let nats: Nats | undefined;
  let observer: Broker | undefined;
  let dataDir: string;
  let registry: Registry;
  const clock = { ...systemClock, nowMs: () => systemClock.nowMs() + rig.shiftMs };
  const start = async () => {
    registry = await startRegistry({ dataDir, natsUrl: nats?.url ?? "nats://127.0.0.1:9" }, clock);
  };
  beforeAll(async () => {
    if (withBroker) {
      nats = await startNats();
      observer = createBroker(
        { url: nats.url, name: "observer" },
        { clock: systemClock, log: createLog("test", "silent") },
      );
      await observer.start();
    }
    dataDir = await tempDir();
    await start();
  });
  afterAll(async () => {
    await registry.stop();
    await observer?.stop();
    await nats?.stop();
    await removeDir(dataDir);
  });
  const outbox = async () => {
    const { host, port } = registry.addresses.ops;
    const text = await (await fetch(`http://${host}:${port}/metrics`)).text();
    const depth = /^carillon_outbox_depth\S* (\d+)$/m.exec(text)?.[1];
    if (depth === undefined) throw new Error("there is no such metric");
    return Number(depth);
  };
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
    async told() {
      if (!observer) throw new Error("there is no broker");
      await eventually(outbox, (depth) => depth === 0);
      return (await observer.jsm.streams.info(streams.jobs)).state.last_seq;
    },
    async create(job = {}) {
      const created = await registry.jobs.createJob({ job: { ...everyHour, ...job } });
      delete created.warning;
      return created;
    },
  };
  return rig;
}
