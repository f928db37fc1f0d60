/** When a job is due, computed by hand. */
export interface DueSeconds {
  /** What the registry is given. */
  schedule: string;
  nextAfter(second: number): number | undefined;
}

/** One timing of a job: what its occurrences are, by definition. */
export interface Timing {
  jobId: string;
  partition: number;
  due: DueSeconds;
  /** That of the job when it got this timing. */
  generation: number;
  active: boolean;
  /** Occurrences strictly after the first instant and up to the second one follow it, in the registry's time. */
  effectiveFromMs: number;
  untilMs: number;
  /** The job was paused or deleted since: what of it was not begun by then is not owed. */
  ended: boolean;
  /** When an event of JOBS had the job in this state or a later one. */
  storedAtMs?: number;
  /** The first event of JOBS that named this timing, as the job's own or as an earlier one; 1 for one of a stream that is gone. */
  sequence?: number;
  /** The seconds that were published under it, with how often. */
  published: Map<number, number>;
  /** The judge has found all occurrences up to here. */
  verifiedTo: number;
}

/** A job, and all timings that it had, by their generation. */
export interface Definition {
  readonly jobId: string;
  readonly partition: number;
  readonly timings: Timing[];
  /** The seconds whose execution was called, under whichever timing it was published. */
  readonly called: Set<number>;
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
  readonly jobs: ReadonlyMap<string, Definition>;
}

/** Whether nothing stands between a timing and a state of its job but edits. */
function onlyEdited(timings: readonly Timing[], from: Timing, generation: number): boolean {
  return timings.every((later) => later.generation <= from.generation || later.generation > generation || later.active);
}

/**
 * The timing that asks for an occurrence, to somebody who knows a job's states up to a generation;
 * undefined when nobody asks for it. A pause ends what came before it.
 */
export function timingAt({ timings }: Definition, second: number, generation: number): Timing | undefined {
  const known = timings.filter((timing) => timing.generation <= generation);
  const owner = known.findLast(({ effectiveFromMs }) => second * 1000 > effectiveFromMs);
  if (!owner?.active || owner.due.nextAfter(second - 1) !== second) return undefined;
  return onlyEdited(timings, owner, generation) ? owner : undefined;
}
