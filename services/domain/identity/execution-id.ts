import { isJobId } from "./job-id.ts";

/**
 * The id of an occurrence's execution is made from the job and the second, so
 * that everybody who computes the same occurrence names it alike.
 */
export function executionIdOf(jobId: string, second: number): string {
  return `${jobId}-${second}`;
}

/** The id of a manual run; `unique` comes from newManualRun(). */
export function manualExecutionId(jobId: string, unique: string): string {
  return `${jobId}-m${unique}`;
}

/** Crockford's base32 in lower case: no i, l, o, u. */
const alphabet = "0123456789abcdefghjkmnpqrstvwxyz";
/** 80 bits. */
const uniqueChars = 16;

/** What tells a manual run from the others of its job. `random` is uniform in [0, 1). */
export function newManualRun(random: () => number): string {
  let unique = "";
  for (let i = 0; i < uniqueChars; i++) unique += alphabet.charAt(Math.floor(random() * alphabet.length));
  return unique;
}

export type ExecutionIdParts =
  | { jobId: string; kind: "occurrence"; second: number }
  | { jobId: string; kind: "manual"; unique: string };

/** A job id has dashes of its own: the last one of an execution id parts the two. */
const shape = /^(.{36})-(?:(\d{1,12})|m([0-9a-z]+))$/;

/** Takes an id apart; undefined when it is not one. */
export function parseExecutionId(id: string): ExecutionIdParts | undefined {
  const match = shape.exec(id);
  const jobId = match?.[1];
  if (!match || jobId === undefined || !isJobId(jobId)) return undefined;
  if (match[3] !== undefined) return { jobId, kind: "manual", unique: match[3] };
  return { jobId, kind: "occurrence", second: Number(match[2]) };
}
