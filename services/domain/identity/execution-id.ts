/**
 * The id of an occurrence's execution is made from the job and the second, so
 * that everybody who computes the same occurrence names it alike. Neither part
 * contains a dash.
 */
export function executionIdOf(jobId: string, second: number): string {
  return `${jobId}-${second}`;
}

/** The id of a manual run: `unique` is lower-case letters and digits, chosen once by whoever asks for the run. */
export function manualExecutionId(jobId: string, unique: string): string {
  return `${jobId}-m${unique}`;
}

export type ExecutionIdParts =
  | { jobId: string; kind: "occurrence"; second: number }
  | { jobId: string; kind: "manual"; unique: string };

/** Takes an id apart; undefined when it is not one. */
export function parseExecutionId(id: string): ExecutionIdParts | undefined {
  const match = /^([0-9a-z]+)-(?:(\d{1,12})|m([0-9a-z]+))$/.exec(id);
  if (!match?.[1]) return undefined;
  const jobId = match[1];
  if (match[3] !== undefined) return { jobId, kind: "manual", unique: match[3] };
  return { jobId, kind: "occurrence", second: Number(match[2]) };
}
