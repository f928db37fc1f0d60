import type { DescMethod } from "@bufbuild/protobuf";
import { Counter, Histogram, type Registry } from "prom-client";
import type { Face } from "./call-context.ts";
import type { RpcCode } from "./errors/rpc-error.ts";

export interface CallMetrics {
  /** Counts one finished call. A stream's duration is its client's choice: only unary calls are timed. */
  observe(method: DescMethod, face: Face, code: RpcCode | "OK", durationMs: number): void;
}

// Not "service": that is the process, on each series of a registry.
const labelNames = ["rpc_service", "method", "code", "face"] as const;

export function createCallMetrics(registry: Registry): CallMetrics {
  const handled = new Counter({
    name: "carillon_rpc_handled_total",
    help: "RPCs answered, by code",
    labelNames,
    registers: [registry],
  });
  const duration = new Histogram({
    name: "carillon_rpc_duration_seconds",
    help: "Time to answer a unary RPC",
    labelNames,
    buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers: [registry],
  });
  // prom-client validates and hashes labels at each call; a child does not.
  const children = new Map<string, { count(): void; time(seconds: number): void }>();
  const childOf = (method: DescMethod, face: Face, code: string) => {
    const key = `${method.parent.typeName}/${method.name} ${code} ${face}`;
    let child = children.get(key);
    if (!child) {
      const labels = [method.parent.typeName, method.name, code, face] as const;
      const counter = handled.labels(...labels);
      const histogram = duration.labels(...labels);
      child = { count: () => counter.inc(), time: (seconds) => histogram.observe(seconds) };
      children.set(key, child);
    }
    return child;
  };
  return {
    observe(method, face, code, durationMs) {
      const child = childOf(method, face, code);
      child.count();
      if (method.methodKind === "unary") child.time(durationMs / 1000);
    },
  };
}
