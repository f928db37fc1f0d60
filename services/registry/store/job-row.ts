import type { EarlierTiming } from "../../wire/job-event.ts";

/** JobState as it is stored; COMPLETED is derived on reading. */
export const storedState = { deleted: 0, active: 1, paused: 2 } as const;

export type StoredState = (typeof storedState)[keyof typeof storedState];

export interface JobRow {
  jobId: string;
  generation: number;
  state: StoredState;
  timingGeneration: number;
  effectiveFromMs: number;
  /** 0 until the broker has acknowledged the event that carries this timing. */
  timingSequence: number;
  timingEdition: number;
  /** The timings before it that edits have ended, as far as they may still be owed; oldest first. */
  earlier: readonly EarlierTimingRow[];
  /** The generation of the last pause; 0 when there was none. */
  pausedGeneration: number;
  /** The last second at which it can be due; undefined when there is none. */
  lastSecond: number | undefined;
  /** All that it was due at was published long ago, and JOBS does not hold it any more. */
  ended: boolean;
  /** carillon.v1.Job. */
  job: Uint8Array;
}

/** Its sequence counts in the JOBS of that edition. */
export interface EarlierTimingRow extends EarlierTiming {
  timingEdition: number;
}

/** A place in the order of last seconds. */
export interface EndingPlace {
  lastSecond: number;
  jobId: string;
}
