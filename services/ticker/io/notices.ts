import type { Log } from "../../platform/process/log.ts";
import type { Notice } from "../core/notice.ts";
import type { TickerMetrics } from "./ticker-metrics.ts";

/** Logs what the core has to tell, and counts it. */
export function logNotice(log: Log, metrics: TickerMetrics, ticker: string, notice: Notice): void {
  switch (notice.event) {
    case "partition_taken":
      if (notice.from !== "" && notice.from !== ticker) {
        metrics.takeovers.inc();
        log.warn({ ...notice, event: "partition_taken_over" });
        break;
      }
      log.debug(notice);
      break;
    case "partition_given_back":
      log.debug(notice);
      break;
    case "publishing_resumed":
      log.info(notice);
      break;
    case "partition_lost":
    case "publishing_stopped":
    case "jobs_stream_replaced":
    case "jobs_forgotten":
    case "due_stream_replaced":
      log.warn(notice);
      break;
    case "due_publish_refused":
    case "late_occurrences_dropped":
    case "timetable_was_ahead":
      log.error(notice);
      break;
    default:
      notice satisfies never;
  }
}
