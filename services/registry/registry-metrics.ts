import { Gauge, type Registry } from "prom-client";
import type { RegistryStore, StoreCounts } from "./store/contract.ts";

export interface RegistryMetrics {
  /** Messages that a stream holds at this moment. */
  setBacklog(stream: string, messages: number): void;
}

/** The registry's own gauges; those over the store are read when they are asked for. */
export function createRegistryMetrics(registry: Registry, store: Pick<RegistryStore, "counts">): RegistryMetrics {
  // Both gauges are asked at the same time: one count, which walks an index, answers both.
  let counting: Promise<StoreCounts> | undefined;
  const counts = () => {
    counting ??= store.counts().finally(() => {
      counting = undefined;
    });
    return counting;
  };
  new Gauge({
    name: "carillon_outbox_depth",
    help: "Changes and manual runs that the broker has not acknowledged yet",
    registers: [registry],
    async collect() {
      this.set((await counts()).outbox);
    },
  });
  new Gauge({
    name: "carillon_jobs",
    help: "Jobs by state; active includes those whose schedule has come to its end",
    labelNames: ["state"],
    registers: [registry],
    async collect() {
      const { active, paused } = await counts();
      this.set({ state: "active" }, active);
      this.set({ state: "paused" }, paused);
    },
  });
  const backlog = new Gauge({
    name: "carillon_stream_backlog",
    help: "Messages in a stream",
    labelNames: ["stream"],
    registers: [registry],
  });
  return { setBacklog: (stream, messages) => backlog.set({ stream }, messages) };
}
