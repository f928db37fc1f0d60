import type { Occurrences } from "./timetable.ts";

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
      /** The timings before it that edits have ended, as far as they may still be owed; oldest first. */
      earlier: readonly EarlierTiming[];
      /** The generation of the last pause, which ended what was owed; 0 when there was none. */
      pausedGeneration: number;
    };

/** Its occurrences strictly after the first instant and up to the second one are owed as before. */
export interface EarlierTiming {
  timingGeneration: number;
  effectiveFromMs: number;
  untilMs: number;
  /** Never beyond that of the timing after it. */
  timingSequence: number;
  occurrences: Occurrences;
}
