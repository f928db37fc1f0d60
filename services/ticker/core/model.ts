import type { BatchLimits } from "./batch.ts";
import type { Occurrences } from "./timetable.ts";

/** A reading of both clocks. The wall may jump; the monotonic clock never goes back. */
export interface Now {
  wallMs: number;
  monotonicMs: number;
}

/**
 * A fact about a partition: of every timing that reached JOBS up to
 * `jobsSequence`, each occurrence up to `second` is stored in DUE. An older
 * watermark is as true as a newer one; it only costs repeats.
 */
export interface Watermark {
  second: number;
  jobsSequence: number;
}

/** Who owns a partition; `owner` is empty when it was given back. */
export interface Claim {
  owner: string;
  epoch: number;
  /** What was known when the claim was written. */
  watermark: Watermark | undefined;
}

export interface PartitionTick {
  partition: number;
  epoch: number;
  watermark: Watermark | undefined;
  /** Occurrences published for the watermark's second. */
  published: number;
}

export interface Tick {
  ticker: string;
  second: number;
  live: boolean;
  partitions: PartitionTick[];
}

/** What became of a job, as JOBS tells it. */
export type JobChange =
  | { kind: "gone"; jobId: string }
  | {
      kind: "active";
      jobId: string;
      entry: Uint8Array;
      generation: number;
      timingGeneration: number;
      effectiveFromMs: number;
      /** The JOBS sequence at which this timing first appeared. */
      timingSequence: number;
      occurrences: Occurrences;
    };

export type TickerEffect =
  | {
      kind: "publish-due";
      id: number;
      partition: number;
      epoch: number;
      second: number;
      mayRepeat: boolean;
      entries: readonly Uint8Array[];
      messageId: string;
    }
  | { kind: "publish-tick"; id: number; tick: Tick }
  /** Stored only when `revision` is still the last of the partition; 0: there is none. */
  | { kind: "write-claim"; id: number; partition: number; claim: Claim; revision: number }
  | { kind: "read-claims"; id: number; partitions: number[] }
  | { kind: "read-last-tick"; ticker: string }
  /** Read JOBS for these partitions: the last state, then each change. */
  | { kind: "follow"; followId: number; partitions: number[] }
  | { kind: "unfollow"; followId: number; partition: number }
  | { kind: "notice"; notice: Notice };

/** What an operator wants to know. */
export type Notice =
  | { event: "partition_taken"; partition: number; epoch: number; from: string; watermark: Watermark | undefined }
  | { event: "partition_given_back"; partition: number; epoch: number; watermark: Watermark | undefined }
  | { event: "partition_lost"; partition: number; epoch: number; owner: string; newEpoch: number }
  | { event: "publishing_stopped" | "publishing_resumed" }
  | { event: "due_publish_refused"; partition: number; second: number }
  /** The wall clock was set back, or had run ahead when the timetable was made: it is made anew from now. */
  | { event: "timetable_was_ahead"; partitions: number; aheadSeconds: number; fromSecond: number }
  | { event: "due_stream_replaced"; partitions: number; fromSecond: number }
  | { event: "jobs_stream_replaced"; partitions: number; jobs: number }
  | { event: "jobs_forgotten"; partition: number; jobs: number }
  | { event: "late_occurrences_dropped"; partition: number; jobId: string; fromMs: number; untilMs: number };

export interface TickerStatus {
  /** Partitions. */
  owned: number;
  /** Those of them whose jobs are all in the timetable. */
  loaded: number;
  jobs: number;
  lowestWatermark: number | undefined;
  /** The last second that was begun anywhere: in the future by no more than the lead, unless the clock was set back. */
  highestSecond: number | undefined;
  /** Due messages without an acknowledgement. */
  outstanding: number;
  fenced: boolean;
  /** Knows the claims and the other tickers, and has loaded what it owns. */
  settled: boolean;
  /** After `stop`: everything is given back. */
  stopped: boolean;
}

export interface TickerSettings {
  ticker: string;
  partitions: number;
  /** The events of second S are published from S minus this on. */
  leadMs: number;
  limits: BatchLimits;
  /** Due messages, and their bytes, that may be without an acknowledgement. */
  maxOutstanding: number;
  maxOutstandingBytes: number;
  /** No new tick for this long: the ticker is dead. */
  deadAfterMs: number;
  /** An own tick without an acknowledgement for this long: stop publishing. */
  fenceAfterMs: number;
  /** How far back the timetable goes when nobody knows what was published. */
  lookbackSeconds: number;
  /** A young stream of jobs without news for this long is taken for filled. */
  filledAfterMs: number;
}

export const defaultTickerSettings = {
  // Not a whole second: publishing the next second would then fall on the instant at
  // which this one is fired, and the two take each other's cores (p99 at 2,000 a
  // second: 209 ms with 1,000, 125 ms with 700, in one session).
  leadMs: 700,
  maxOutstanding: 512,
  maxOutstandingBytes: 32 * 1024 * 1024,
  deadAfterMs: 4_000,
  fenceAfterMs: 2_000,
  lookbackSeconds: 3_600,
  // Well over what a registry takes to start again in the middle of filling it.
  filledAfterMs: 15_000,
} as const;

/**
 * A clock that stepped back by less is waited out: nothing is repeated. By more,
 * a watermark that lies so far ahead would silence its partition for too long.
 */
export const aheadToleratedSeconds = 60;

/** The later of two facts. */
export function laterWatermark(a: Watermark | undefined, b: Watermark | undefined): Watermark | undefined {
  if (!a || !b) return a ?? b;
  if (a.second !== b.second) return a.second > b.second ? a : b;
  return a.jobsSequence >= b.jobsSequence ? a : b;
}
