import { performance } from "node:perf_hooks";

/** How busy this process is. */
export interface LoadMeter {
  /** The share of the time since the last call in which the event loop had work: 0 to 1. */
  utilisation(): number;
}

/** Being put off by other processes counts as work: to whoever waits for this one it is the same. */
export function createLoadMeter(): LoadMeter {
  let last = performance.eventLoopUtilization();
  return {
    utilisation() {
      const now = performance.eventLoopUtilization();
      const { utilization } = performance.eventLoopUtilization(now, last);
      last = now;
      return utilization;
    },
  };
}
