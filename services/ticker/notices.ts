import type { Notice } from "../domain/ticker-model.ts";
import type { Log } from "../platform/log.ts";
import type { TickerMetrics } from "./metrics.ts";

/** What the core has to tell, as log events and counts. */
export function logNotice(log: Log, metrics: TickerMetrics, ticker: string, notice: Notice): void {
  switch (notice.event) {
    case "partition_taken":
      if (notice.from !== "" && notice.from !== ticker) {
        metrics.takeovers.inc();
        return log.warn({ ...notice, event: "partition_taken_over" });
      }
      return log.debug(notice);
    case "partition_given_back":
      return log.debug(notice);
    case "publishing_resumed":
      return log.info(notice);
    case "partition_lost":
    case "publishing_stopped":
      return log.warn(notice);
    case "due_publish_refused":
    case "late_occurrences_dropped":
      return log.error(notice);
    default:
      return notice satisfies never;
  }
}
