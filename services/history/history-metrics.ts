import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import { ExecutionStatus } from "../../gen/carillon/v1/execution_pb.ts";
import type { ExecutionRecord } from "./records/execution-record.ts";
import type { Revision, StoreExtent } from "./store/contract.ts";

export interface HistoryMetrics {
  recorded: Counter;
  repeated: Counter;
  refused: Counter;
  commitSeconds: Histogram;
  backlog: Gauge;
  watchers: Gauge;
  forgotten: Counter<"reason">;
  /** Counts executions by how they ended. */
  countEnded(ended: readonly ExecutionRecord[]): void;
  /** Counts executions that had been counted as something else. */
  countRevised(revised: readonly Revision[]): void;
  extent(extent: StoreExtent): void;
}

const statusNames: ReadonlyMap<number, string> = new Map(
  Object.entries(ExecutionStatus).map(([name, status]) => [status, name]),
);

export function createHistoryMetrics(registry: Registry): HistoryMetrics {
  const registers = [registry];
  const executions = new Counter({
    name: "carillon_executions_total",
    help: "Executions that ended, by disposition; one whose disposition changed is counted by both, see carillon_executions_revised_total",
    labelNames: ["status"] as const,
    registers,
  });
  const revisions = new Counter({
    name: "carillon_executions_revised_total",
    help: "Executions of carillon_executions_total, by that disposition, that have another one since: a call was made of one that was skipped",
    labelNames: ["status"] as const,
    registers,
  });
  const bytes = new Gauge({ name: "carillon_history_bytes", help: "What history takes of its disk", registers });
  const used = new Gauge({ name: "carillon_history_used_bytes", help: "So much of that is in use", registers });
  const rows = new Gauge({ name: "carillon_history_executions", help: "Executions that are kept", registers });
  const oldest = new Gauge({
    name: "carillon_history_oldest_seconds",
    help: "The second of the oldest execution that is kept, unix time; 0 when there is none",
    registers,
  });
  const count = (counter: Counter<"status">, statuses: readonly ExecutionStatus[]) => {
    const counts = new Map<ExecutionStatus, number>();
    for (const status of statuses) counts.set(status, (counts.get(status) ?? 0) + 1);
    for (const [status, times] of counts) counter.inc({ status: statusNames.get(status) ?? "UNSPECIFIED" }, times);
  };
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
    forgotten: new Counter({
      name: "carillon_executions_forgotten_total",
      help: "Executions that were forgotten, for their age or for the room that they took",
      labelNames: ["reason"] as const,
      registers,
    }),
    countEnded: (ended) =>
      count(
        executions,
        ended.map(({ status }) => status),
      ),
    countRevised(revised) {
      const others = revised.filter(({ record, was }) => record.status !== was.status);
      count(
        executions,
        others.map(({ record }) => record.status),
      );
      count(
        revisions,
        others.map(({ was }) => was.status),
      );
    },
    extent(extent) {
      bytes.set(extent.bytes);
      used.set(extent.usedBytes);
      rows.set(extent.rowCount);
      oldest.set(extent.oldestSecond ?? 0);
    },
  };
}
