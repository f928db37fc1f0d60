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
    };
