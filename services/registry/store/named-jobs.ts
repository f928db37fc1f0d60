import type { JobRow } from "./job-row.ts";

/** How a job is named: by its id, or by its key. */
export type JobName = string | { readonly key: string };

/** A label's key and its value. */
export type Label = readonly [name: string, value: string];

/** What becomes of named jobs, and the answer that goes with it. */
export interface JobsChange<T> {
  /** By their place: the next row, or the first one where there is none; undefined: nothing changes. */
  next: readonly (JobRow | undefined)[];
  answer: T;
}

/** `rows`: the jobs as they are, in the order of their names; undefined where there is none. */
export type DecideJobs<T> = (rows: readonly (JobRow | undefined)[]) => JobsChange<T>;

export type ChangedJobs<T> = { kind: "changed"; answer: T } | KeyTaken;

/** The row at this place has a key that it cannot have, since another one has it; the first such place. */
export interface KeyTaken {
  kind: "taken";
  index: number;
  /** The job that has it, or the place in the same call that takes it. */
  by: { jobId: string } | { index: number };
}

export interface LabelledIds {
  jobIds: string[];
  /** Whether there may be more behind lastId. */
  goesOn: boolean;
  lastId: string;
}

/** A row to be written, as far as its key goes. */
export interface KeyClaim {
  jobId: string;
  /** Undefined: it has none. */
  key: string | undefined;
}

/**
 * The contract's rule for keys, for the engines behind it: asked before the first
 * row is written. `holderOf` finds the job that has a key by now; one that is in
 * the call itself has what it will have. Undefined at a place: nothing is written.
 */
export function findTakenKey(
  claims: readonly (KeyClaim | undefined)[],
  holderOf: (key: string) => string | undefined,
): KeyTaken | undefined {
  const written = new Set<string>();
  for (const claim of claims) if (claim) written.add(claim.jobId);
  const claimed = new Map<string, number>();
  for (const [index, claim] of claims.entries()) {
    if (claim?.key === undefined) continue;
    const { key } = claim;
    const jobId = holderOf(key);
    if (jobId !== undefined && !written.has(jobId)) return { kind: "taken", index, by: { jobId } };
    const other = claimed.get(key);
    if (other !== undefined) return { kind: "taken", index, by: { index: other } };
    claimed.set(key, index);
  }
  return undefined;
}
