import type { Occurrences } from "../../services/ticker/core/timetable.ts";

/** One timing of a job: what its occurrences are, by definition. */
export interface Timing {
  jobId: string;
  partition: number;
  occurrences: Occurrences;
  effectiveFromMs: number;
  generation: number;
  active: boolean;
  /** When JOBS had it, and under which sequence; undefined while it waits for the relay. */
  storedAtMs?: number;
  sequence?: number;
  /** When JOBS had the timing after it. */
  replacedAtMs?: number;
  /** The seconds that were published under it, with how often. */
  published: Map<number, number>;
  /** The judge has found all occurrences up to here. */
  verifiedTo: number;
}

/** One state of a job, as JOBS carries it. */
export interface JobVersion {
  timing: Timing;
  generation: number;
  entry: Uint8Array;
}

export interface DueMessage {
  partition: number;
  second: number;
  mayRepeat: boolean;
  entries: readonly Uint8Array[];
  messageId: string;
}

/** All that was ever defined in a run. */
export interface Definitions {
  readonly timings: readonly Timing[];
  /** By the entry that a version is published with. */
  readonly versions: ReadonlyMap<Uint8Array, JobVersion>;
}
