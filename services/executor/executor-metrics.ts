import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import type { Outcome } from "../domain/delivery/outcome.ts";

export interface ExecutorMetrics {
  /** How late a first attempt was sent after its second. */
  lateness(seconds: number): void;
  attempt(outcome: Outcome, durationSeconds: number): void;
  skipped(): void;
  redelivered(): void;
  moved(): void;
  unretried(): void;
}

export interface ExecutorGauges {
  inFlight: () => number;
  waiting: () => number;
  held: () => number;
  settlementPending: () => number;
  settlementBytes: () => number;
  runningRecords: () => number;
  lanes: () => number;
}

const latenessBuckets = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
const durationBuckets = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

/** Children with fixed labels are bound once, instead of found by their labels each time. */
export function createExecutorMetrics(registry: Registry, gauges: ExecutorGauges): ExecutorMetrics {
  const registers = [registry];
  const lateness = new Histogram({
    name: "carillon_fire_lateness_seconds",
    help: "From the scheduled second to the sending of the first attempt.",
    buckets: latenessBuckets,
    registers,
  });
  const duration = new Histogram({
    name: "carillon_attempt_duration_seconds",
    help: "From the sending of a request to the end of its answer.",
    buckets: durationBuckets,
    registers,
  });
  const attempts = new Counter({
    name: "carillon_attempts_total",
    help: "Ended attempts by outcome: success, or the reason of the failure.",
    labelNames: ["outcome"],
    registers,
  });
  const fired = new Counter({
    name: "carillon_executions_fired_total",
    help: "Executions whose first attempt was sent.",
    registers,
  });
  const skipped = new Counter({
    name: "carillon_executions_skipped_total",
    help: "Attempts that were not made because their job was paused, deleted or changed, or because it was too late.",
    registers,
  });
  const redelivered = new Counter({
    name: "carillon_redelivered_total",
    help: "Due and retry messages that were delivered more than once.",
    registers,
  });
  const moved = new Counter({
    name: "carillon_moved_to_lanes_total",
    help: "Attempts moved to the lane of their target because it kept them waiting.",
    registers,
  });
  const unretried = new Counter({
    name: "carillon_retries_refused_total",
    help: "Executions that failed for good before their last attempt, since RETRY had no room for the next one.",
    registers,
  });
  const gauge = (name: string, help: string, read: () => number) =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read());
      },
    });
  gauge("carillon_in_flight", "HTTP calls in flight.", gauges.inFlight);
  gauge("carillon_calls_waiting", "Calls that wait for a connection to their target.", gauges.waiting);
  gauge("carillon_held", "Occurrences held until their second.", gauges.held);
  gauge("carillon_settlement_pending", "Messages in work: of DUE, RETRY, LANES and RUNNING.", gauges.settlementPending);
  gauge("carillon_settlement_bytes", "What the messages in work take in memory.", gauges.settlementBytes);
  gauge(
    "carillon_running_records",
    "Records in RUNNING of calls that are on the wire for long.",
    gauges.runningRecords,
  );
  gauge("carillon_lanes", "Lanes that this executor reads.", gauges.lanes);

  const byOutcome = new Map<string, ReturnType<typeof attempts.labels>>();
  const count = (label: string) => {
    let child = byOutcome.get(label);
    if (!child) {
      child = attempts.labels(label);
      byOutcome.set(label, child);
    }
    child.inc();
  };
  return {
    lateness(seconds) {
      lateness.observe(seconds);
      fired.inc();
    },
    attempt(outcome, durationSeconds) {
      count(outcome.kind === "success" ? "success" : outcome.reason);
      duration.observe(durationSeconds);
    },
    skipped: () => skipped.inc(),
    redelivered: () => redelivered.inc(),
    moved: () => moved.inc(),
    unretried: () => unretried.inc(),
  };
}
