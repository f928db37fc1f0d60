import type { Code } from "../../../gen/google/rpc/code_pb.ts";

/** The canonical codes by name, as gRPC and google.rpc.Status have them. */
export type RpcCode = Exclude<keyof typeof Code, "OK">;

/** What is wrong with one field of a request. */
export interface FieldViolation {
  /** snake_case path from the request message: `job.http.headers["X-A"]`, `requests[3].job.schedule`. */
  field: string;
  /** What is wrong, without the path: "value is required". */
  description: string;
}

export interface RpcErrorOptions {
  /** UPPER_SNAKE_CASE, stable, for programs: becomes google.rpc.ErrorInfo.reason. */
  reason: string;
  /** Becomes google.rpc.ErrorInfo.metadata. */
  metadata?: Readonly<Record<string, string>>;
  /** Becomes google.rpc.BadRequest.field_violations. */
  fieldViolations?: readonly FieldViolation[];
  /** Becomes google.rpc.RetryInfo.retry_delay. */
  retryDelayMs?: number;
  /** For the log; no client ever sees it. */
  cause?: unknown;
}

/**
 * A refusal that a client may see, the same on each face. Whatever else a
 * handler throws is answered with INTERNAL and told to the log alone.
 */
export class RpcError extends Error {
  readonly code: RpcCode;
  readonly reason: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly fieldViolations: readonly FieldViolation[];
  readonly retryDelayMs: number | undefined;

  constructor(code: RpcCode, message: string, options: RpcErrorOptions) {
    // Lone surrogates cannot be sent: encodeURI throws on them.
    const text = shorten(message.toWellFormed(), maxMessageChars);
    super(text, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "RpcError";
    this.code = code;
    this.reason = options.reason;
    this.metadata = options.metadata ?? {};
    this.fieldViolations = boundViolations(options.fieldViolations ?? []);
    this.retryDelayMs = options.retryDelayMs;
  }
}

/** INVALID_ARGUMENT about fields; the message is made of them: "schedule: value is required". */
export function invalidFields(violations: readonly FieldViolation[], reason = "INVALID_FIELD"): RpcError {
  return new RpcError("INVALID_ARGUMENT", messageOf(violations), { reason, fieldViolations: violations });
}

/** INVALID_ARGUMENT about one field. */
export function invalidField(field: string, description: string, reason?: string): RpcError {
  return invalidFields([{ field, description }], reason);
}

/**
 * The same error with the paths as a REST client knows them: relative to the
 * body it sent (`schedule`, when the body is the request's field `job`).
 */
export function relativeTo(prefix: string, error: RpcError): RpcError {
  if (error.fieldViolations.length === 0) return error;
  const start = `${prefix}.`;
  const violations = error.fieldViolations.map(({ field, description }) => ({
    field: field.startsWith(start) ? field.slice(start.length) : field,
    description,
  }));
  const message = error.message.startsWith(start) ? error.message.slice(start.length) : error.message;
  return new RpcError(error.code, message, {
    reason: error.reason,
    metadata: error.metadata,
    fieldViolations: violations,
    cause: error.cause,
    ...(error.retryDelayMs !== undefined && { retryDelayMs: error.retryDelayMs }),
  });
}

function messageOf(violations: readonly FieldViolation[]): string {
  const [first, ...others] = violations;
  if (!first) return "the request is not valid";
  const more = others.length > 0 ? ` (and ${others.length} more)` : "";
  return `${first.field === "" ? "" : `${first.field}: `}${first.description}${more}`;
}

// gRPC carries errors in trailers, and many clients take no more than 8 KiB of
// them, in base64. A client that sent a thousand bad fields can do with the
// first ones.
const maxMessageChars = 1024;
const maxViolationsChars = 3072;
const maxPathChars = 256;
const maxDescriptionChars = 512;

function boundViolations(violations: readonly FieldViolation[]): readonly FieldViolation[] {
  const kept: FieldViolation[] = [];
  let chars = 0;
  for (const violation of violations) {
    const field = shorten(violation.field.toWellFormed(), maxPathChars);
    const description = shorten(violation.description.toWellFormed(), maxDescriptionChars);
    chars += field.length + description.length;
    if (chars > maxViolationsChars) break;
    kept.push({ field, description });
  }
  return kept;
}

function shorten(text: string, maxChars: number): string {
  return text.length <= maxChars ? text : `${text.slice(0, maxChars - 1).toWellFormed()}…`;
}
