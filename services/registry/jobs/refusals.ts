import type { FieldViolation } from "../../platform/rpc/errors/field-violation.ts";
import { invalidFields, RpcError } from "../../platform/rpc/errors/rpc-error.ts";
import type { StoreFull } from "../store/contract.ts";

/** What is wrong with a field of a job, with a stable name for programs. */
export interface FieldProblem extends FieldViolation {
  reason: string;
}

/** Whether the registry accepts a request. It leaves the transaction as a value: what is thrown in there is a surprise. */
export type Decision<T> = { ok: true; value: T } | { ok: false; refusal: RpcError };

export const accept = <T>(value: T): Decision<T> => ({ ok: true, value });
export const refuse = (refusal: RpcError): Decision<never> => ({ ok: false, refusal });

/** Throws the refusal, outside of the transaction. */
export function unwrap<T>(decision: Decision<T>): T {
  if (!decision.ok) throw decision.refusal;
  return decision.value;
}

export function jobNotFound(jobId: string): RpcError {
  return new RpcError("NOT_FOUND", `there is no job ${JSON.stringify(jobId.slice(0, 64))}`, {
    reason: "JOB_NOT_FOUND",
    metadata: { job_id: jobId.slice(0, 64) },
  });
}

/** INVALID_ARGUMENT with a violation a problem; the first one gives the reason. */
export function invalidJob(problems: readonly FieldProblem[]): RpcError {
  return invalidFields(violationsOf(problems), problems[0]?.reason);
}

/** Several violations have a reason each. A lone one has none of its own: its reason is that of the error. */
function violationsOf(problems: readonly FieldProblem[]): readonly FieldViolation[] {
  return problems.length > 1 ? problems : problems.map(({ field, description }) => ({ field, description }));
}

/** UNIMPLEMENTED: fields of the contract that would have no effect in this version. */
export function fieldsNotImplemented(problems: readonly FieldProblem[]): RpcError {
  const fields = problems.map(({ field }) => field);
  return new RpcError("UNIMPLEMENTED", `not implemented in this version: ${fields.join(", ")}`, {
    reason: "FIELD_NOT_IMPLEMENTED",
    metadata: { field: fields[0] ?? "" },
    fieldViolations: violationsOf(problems),
  });
}

export function rpcNotImplemented(name: string): RpcError {
  return new RpcError("UNIMPLEMENTED", `${name} is not implemented in this version`, {
    reason: "RPC_NOT_IMPLEMENTED",
    metadata: { rpc: name },
  });
}

export function etagMismatch(jobId: string, current: string): RpcError {
  return new RpcError("ABORTED", "the job has changed since it was read: read it again and repeat", {
    reason: "ETAG_MISMATCH",
    metadata: { job_id: jobId, etag: current },
  });
}

export function requestIdReused(field: string): RpcError {
  return new RpcError("ALREADY_EXISTS", `${field} was used before with other contents`, {
    reason: "REQUEST_ID_REUSED",
    fieldViolations: [{ field, description: "was used before with other contents" }],
  });
}

// Somebody has to make room first.
const fullRetryDelayMs = 10_000;

/** RESOURCE_EXHAUSTED: the registry has no room for what it was to keep. Nothing is half-written. */
export function storeFull({ what, cause }: StoreFull): RpcError {
  return new RpcError("RESOURCE_EXHAUSTED", `${what} is full: nothing was changed`, {
    reason: "STORAGE_FULL",
    metadata: { full: what },
    retryDelayMs: fullRetryDelayMs,
    cause,
  });
}
