import { type ExecutionIdParts, executionIdOf, parseExecutionId } from "../../domain/identity/execution-id.ts";

/** The parts of an execution's id; undefined when it is nobody's: "…-007" names the second 7, whose id is "…-7". */
export function readExecutionId(executionId: string): ExecutionIdParts | undefined {
  const parts = parseExecutionId(executionId);
  if (parts?.kind === "occurrence" && executionIdOf(parts.jobId, parts.second) !== executionId) return undefined;
  return parts;
}
