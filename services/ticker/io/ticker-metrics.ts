import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import type { Clock } from "../../platform/process/clock.ts";
import type { TickerStatus } from "../core/ticker-status.ts";

export interface TickerMetrics {
  duePublished: Counter;
  takeovers: Counter;
  tickSeconds: Histogram;
}

export function createTickerMetrics(registry: Registry): TickerMetrics {
  const registers = [registry];
  return {
    duePublished: new Counter({
      name: "carillon_due_published_total",
      help: "Occurrences whose due message the broker has acknowledged",
      registers,
    }),
    takeovers: new Counter({
      name: "carillon_takeovers_total",
      help: "Partitions taken over from a ticker that had gone silent",
      registers,
    }),
    tickSeconds: new Histogram({
      name: "carillon_tick_seconds",
      help: "From the instant at which a second may be published until all of it is acknowledged",
      buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10],
      registers,
    }),
  };
}

/** Gauges that are read when they are asked for. */
export function registerTickerGauges(registry: Registry, options: { clock: Clock; status: () => TickerStatus }): void {
  const { clock, status } = options;
  const gauge = (name: string, help: string, value: () => number) =>
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        this.set(value());
      },
    });
  gauge("carillon_partitions_owned", "Partitions that this ticker owns", () => status().owned);
  gauge("carillon_timetable_jobs", "Jobs in the timetable", () => status().jobs);
  gauge("carillon_publishes_outstanding", "Due messages without an acknowledgement", () => status().outstanding);
  gauge(
    "carillon_watermark_age_seconds",
    "Now minus the lowest watermark of the owned partitions; negative by up to the lead when all is well, by more when the clock was set back",
    () => {
      const second = status().lowestWatermark;
      return second === undefined ? 0 : clock.nowMs() / 1000 - second;
    },
  );
}
