import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import { ExecutionStatus } from "../../gen/carillon/v1/execution_pb.ts";
import type { ExecutionRecord } from "./records/execution-record.ts";

export interface HistoryMetrics {
  recorded: Counter;
  repeated: Counter;
  refused: Counter;
  commitSeconds: Histogram;
  backlog: Gauge;
  watchers: Gauge;
  /** Counts executions by how they ended. */
  countEnded(ended: readonly ExecutionRecord[]): void;
}

const statusNames: ReadonlyMap<number, string> = new Map(
  Object.entries(ExecutionStatus).map(([name, status]) => [status, name]),
);

export function createHistoryMetrics(registry: Registry): HistoryMetrics {
  const registers = [registry];
  const executions = new Counter({
    name: "carillon_executions_total",
    help: "Executions that ended, by disposition; each is counted once",
    labelNames: ["status"] as const,
    registers,
  });
  return {
    recorded: new Counter({
      name: "carillon_results_recorded_total",
      help: "Results of attempts, and skips, that were recorded",
      registers,
    }),
    repeated: new Counter({
      name: "carillon_results_repeated_total",
      help: "Results that were known already: redelivered, or of a call that was made twice",
      registers,
    }),
    refused: new Counter({
      name: "carillon_results_refused_total",
      help: "Results and messages that could not be read; they are in the log",
      registers,
    }),
    commitSeconds: new Histogram({
      name: "carillon_history_commit_seconds",
      help: "Time to write and commit a batch of results",
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5],
      registers,
    }),
    backlog: new Gauge({
      name: "carillon_results_backlog",
      help: "Result messages in the stream that are not recorded yet",
      registers,
    }),
    watchers: new Gauge({ name: "carillon_watchers", help: "Open WatchExecutions streams", registers }),
    countEnded(ended) {
      const counts = new Map<ExecutionStatus, number>();
      for (const { status } of ended) counts.set(status, (counts.get(status) ?? 0) + 1);
      for (const [status, count] of counts) executions.inc({ status: statusNames.get(status) ?? "UNSPECIFIED" }, count);
    },
  };
}
