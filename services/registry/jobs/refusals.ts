import type { FieldViolation } from "../../platform/rpc/errors/field-violation.ts";
import { invalidField, invalidFields, RpcError } from "../../platform/rpc/errors/rpc-error.ts";
import type { StoreFull } from "../store/contract.ts";
import type { JobName, KeyTaken } from "../store/named-jobs.ts";
import { writeJobName } from "./job-names.ts";

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

// Behind "key=".
const longestName = 132;

/** `field`: which one of several was named there. */
export function jobNotFound(name: JobName, field?: string): RpcError {
  const shown = writeJobName(name).slice(0, longestName);
  const description = `there is no job ${JSON.stringify(shown)}`;
  return new RpcError("NOT_FOUND", field === undefined ? description : `${field}: ${description}`, {
    reason: "JOB_NOT_FOUND",
    metadata: { job_id: shown },
    ...(field !== undefined && { fieldViolations: [{ field, description }] }),
  });
}

/** ALREADY_EXISTS: another job has the key that a job was to have. */
export function keyTaken({ index, by }: KeyTaken, prefixOf: (index: number) => string): RpcError {
  const field = `${prefixOf(index)}job.key`;
  const holder = "jobId" in by ? `the job ${by.jobId}` : `${prefixOf(by.index)}job as well`;
  const description = `is the key of ${holder}`;
  return new RpcError("ALREADY_EXISTS", `${field}: ${description}`, {
    reason: "KEY_TAKEN",
    metadata: "jobId" in by ? { job_id: by.jobId } : {},
    fieldViolations: [{ field, description }],
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

/** Of a pause or deletion that is stored, and that executors may not know of. Whoever calls again waits for it. */
export function changePending(jobIds: readonly string[]): RpcError {
  const message =
    "the change is stored, but the broker has not taken it yet, or not all executors have: calls may still start until they do. " +
    "Call again to wait for it, by job_id where it is deleted: its key is free";
  return new RpcError("UNAVAILABLE", message, {
    reason: "CHANGE_PENDING",
    metadata: { job_ids: jobIds.slice(0, 10).join(",") },
    retryDelayMs: 1_000,
  });
}

export function etagMismatch(jobId: string, current: string): RpcError {
  return new RpcError("ABORTED", "the job has changed since it was read: read it again and repeat", {
    reason: "ETAG_MISMATCH",
    metadata: { job_id: jobId, etag: current },
  });
}

/** INVALID_ARGUMENT: two requests of a batch are for one job. */
export function namedTwice(field: string, otherPrefix: string): RpcError {
  return invalidField(field, `names the job that ${otherPrefix}job names`, "JOB_NAMED_TWICE");
}

/**
 * What the jobs in one answer may take. gRPC clients refuse messages of more
 * than 4 MiB unless told otherwise, and one that cannot read the answer to its
 * batch does not know that it was done. The rest is for what a view adds to a job.
 */
export const answerBytes = 3.5 * 1024 * 1024;

/** INVALID_ARGUMENT: the jobs of a batch, of these sizes, take more than one answer does. */
export function tooMuchAtOnce(bytes: number, field: string): RpcError | undefined {
  if (bytes <= answerBytes) return undefined;
  const mib = (count: number) => (count / 2 ** 20).toFixed(1);
  const description = `take ${mib(bytes)} MiB with their defaults; one call takes at most ${mib(answerBytes)} MiB`;
  return invalidField(field, description, "BATCH_TOO_LARGE");
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
