import { Gauge, type Registry } from "prom-client";
import type { Store } from "./store/store.ts";

export interface RegistryMetrics {
  /** Messages that a stream holds at this moment. */
  setBacklog(stream: string, messages: number): void;
}

/** The registry's own gauges; those over the store are read when they are asked for. */
export function createRegistryMetrics(registry: Registry, store: Store): RegistryMetrics {
  new Gauge({
    name: "carillon_outbox_depth",
    help: "Changes and manual runs that the broker has not acknowledged yet",
    registers: [registry],
    collect() {
      this.set(store.outbox.count());
    },
  });
  new Gauge({
    name: "carillon_jobs",
    help: "Jobs by state; active includes those whose schedule has come to its end",
    labelNames: ["state"],
    registers: [registry],
    collect() {
      const { active, paused } = store.jobs.count();
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
