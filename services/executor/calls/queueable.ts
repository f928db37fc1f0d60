import type { LaneKind } from "../../wire/lane.ts";

/** What is asked of an item that waits for a place. */
export interface Queueable {
  readonly call: { readonly jobId: string; readonly origin: string };
  readonly second: number;
  /** The lane that its message lies in, where it may wait for as long as it takes; undefined when it lies in none. */
  readonly lane: LaneKind | undefined;
  /** When it began to wait, in its lane or for the first time; 0 before that. Monotonic. */
  queuedAtMs: number;
}
