import { executionIdOf, manualExecutionId, parseExecutionId } from "./execution-id.ts";

/** What tells the executions of a job apart, and their order: by second, then by run. */
export interface Position {
  second: number;
  /** Empty for the occurrence of that second; for a manual run the part of its id after the job, "m...". */
  run: string;
}

/** Whether a position comes after another, newest first. */
export function isAfter(a: Position, b: Position): boolean {
  return a.second < b.second || (a.second === b.second && a.run < b.run);
}

/** The `run` of a manual run's position. */
export function runOfManual(unique: string): string {
  return `m${unique}`;
}

/** The `run` of an execution of this job at this second; undefined when the id belongs to none. */
export function runOf(executionId: string, jobId: string, second: number): string | undefined {
  return executionId === executionIdOf(jobId, second) ? "" : manualRunOf(executionId, jobId);
}

/** The `run` of a manual run of this job; undefined when the id is not that of one. */
export function manualRunOf(executionId: string, jobId: string): string | undefined {
  const parts = parseExecutionId(executionId);
  return parts?.kind === "manual" && parts.jobId === jobId ? runOfManual(parts.unique) : undefined;
}

/** The id of the execution at a position; the opposite of taking one apart. */
export function executionIdAt(jobId: string, { second, run }: Position): string {
  return run === "" ? executionIdOf(jobId, second) : manualExecutionId(jobId, run.slice(1));
}
