import type { Watermark } from "../../wire/watermark.ts";

/** What an operator wants to know. */
export type Notice =
  | { event: "partition_taken"; partition: number; epoch: number; from: string; watermark: Watermark | undefined }
  | { event: "partition_given_back"; partition: number; epoch: number; watermark: Watermark | undefined }
  | { event: "partition_lost"; partition: number; epoch: number; owner: string; newEpoch: number }
  | { event: "publishing_stopped" | "publishing_resumed" }
  | { event: "due_publish_refused"; partition: number; second: number }
  /** The wall clock was set back, or had run ahead before. These partitions begin again from `fromSecond`. */
  | { event: "timetable_was_ahead"; partitions: number; aheadSeconds: number; fromSecond: number }
  | { event: "due_stream_replaced"; partitions: number; fromSecond: number }
  | { event: "jobs_stream_replaced"; partitions: number; jobs: number }
  | { event: "jobs_forgotten"; partition: number; jobs: number }
  | { event: "late_occurrences_dropped"; partition: number; jobId: string; fromMs: number; untilMs: number };
