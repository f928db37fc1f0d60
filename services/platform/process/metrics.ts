import { collectDefaultMetrics, Registry } from "prom-client";

/** A registry whose samples all carry the service's name, with Node's own metrics in it. */
export function createMetrics(service: string): Registry {
  const registry = new Registry();
  registry.setDefaultLabels({ service });
  collectDefaultMetrics({ register: registry });
  return registry;
}
