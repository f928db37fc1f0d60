import type { BatchLimits } from "./batch.ts";
import type { Occurrences } from "./timetable.ts";

/** A reading of both clocks. The wall clock may jump; the monotonic one never goes back. */
export interface Now {
  wallMs: number;
  monotonicMs: number;
}

/**
 * A fact about a partition: DUE has stored each occurrence up to `second` of every
 * timing that JOBS had at `jobsSequence`. An older watermark is as true as a newer
 * one; it only costs repeats.
 */
export interface Watermark {
  second: number;
  jobsSequence: number;
}

/** Who owns a partition. */
export interface Claim {
  /** Empty when the partition was given back. */
  owner: string;
  epoch: number;
  /** As it was when the claim was written. */
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

/** What a job is from now on, as JOBS tells it. */
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

/** Occurrences of one partition and second. */
export interface DueMessage {
  partition: number;
  epoch: number;
  second: number;
  /** An owner may have published some of them before. */
  mayRepeat: boolean;
  entries: readonly Uint8Array[];
  /** Equal for equal contents: the broker drops repeats by it. */
  messageId: string;
}

/** What is to be done. An `id` ties it to its answer. */
export type TickerEffect =
  | ({ kind: "publish-due"; id: number } & DueMessage)
  | { kind: "publish-tick"; id: number; tick: Tick }
  /** Is stored only when `revision` is still the last of the partition; 0 says that there is none. */
  | { kind: "write-claim"; id: number; partition: number; claim: Claim; revision: number }
  | { kind: "read-claims"; id: number; partitions: number[] }
  | { kind: "read-last-tick"; ticker: string }
  /** Read JOBS for these partitions: the last state, then each change. */
  | { kind: "follow"; followId: number; partitions: number[] }
  | { kind: "unfollow"; followId: number; partition: number }
  | { kind: "notice"; notice: Notice };

/** Takes the effects of the core's parts. */
export interface EffectSink {
  newId(): number;
  emit(effect: TickerEffect): void;
}

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

export interface TickerStatus {
  /** Partitions. */
  owned: number;
  /** Owned partitions whose jobs are all in the timetable. */
  loaded: number;
  jobs: number;
  lowestWatermark: number | undefined;
  /** The last second that any partition has begun. It is ahead of now by the lead at most, unless the clock was set back. */
  highestSecond: number | undefined;
  /** Due messages without an acknowledgement. */
  outstanding: number;
  /** Publishes nothing: others may have taken over. */
  fenced: boolean;
  /** Knows the claims, the other tickers and all jobs of what it owns. */
  informed: boolean;
  /** Everything is given back after `stop`. */
  stopped: boolean;
}

export interface TickerSettings {
  ticker: string;
  partitions: number;
  /** The occurrences of second S are published from S minus this on. */
  leadMs: number;
  limits: BatchLimits;
  /** So many due messages, of so many bytes, may be without an acknowledgement. */
  maxOutstanding: number;
  maxOutstandingBytes: number;
  /** A ticker without a new tick for this long is dead. */
  deadAfterMs: number;
  /** When an own tick is not acknowledged for this long, publishing stops. */
  fenceAfterMs: number;
  /** So far back occurrences are owed when nobody knows what was published. */
  lookbackSeconds: number;
  /** A new JOBS is taken for filled when nothing came for this long. */
  filledAfterMs: number;
}

export const defaultTickerSettings = {
  // Not a whole second: publishing a second would then fall on the instant at which
  // the one before is fired, and the two take each other's cores (p99 at 2,000 a
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
 * A wall clock that was set back by less is waited for, and nothing is repeated.
 * By more it is not: the partition would be silent for too long.
 */
export const aheadToleratedSeconds = 60;

/** The later one of two watermarks. */
export function laterWatermark(a: Watermark | undefined, b: Watermark | undefined): Watermark | undefined {
  if (!a || !b) return a ?? b;
  if (a.second !== b.second) return a.second > b.second ? a : b;
  return a.jobsSequence >= b.jobsSequence ? a : b;
}
