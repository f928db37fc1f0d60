import type { Code } from "../../../../gen/google/rpc/code_pb.ts";
import { boundMessage, boundMetadata, boundViolations } from "./error-bounds.ts";
import type { FieldViolation } from "./field-violation.ts";

/** The canonical codes by name, as gRPC and google.rpc.Status have them. */
export type RpcCode = Exclude<keyof typeof Code, "OK">;

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
    super(boundMessage(message), options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "RpcError";
    this.code = code;
    this.reason = options.reason;
    this.metadata = boundMetadata(options.metadata ?? {});
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

/** What ends open streams when a server stops; a client does well to come again. */
export function stoppingError(): RpcError {
  return new RpcError("UNAVAILABLE", "the server is stopping", { reason: "SERVER_STOPPING" });
}

/**
 * The same error with the paths as a REST client knows them: relative to the
 * body it sent (`schedule`, when the body is the request's field `job`). What is
 * said of that field is said of the body.
 */
export function relativeTo(prefix: string, error: RpcError): RpcError {
  if (error.fieldViolations.length === 0) return error;
  const start = `${prefix}.`;
  const renamed = new Map<string, string>();
  for (const { field } of error.fieldViolations) {
    if (field === prefix) renamed.set(field, "the body");
    else if (field.startsWith(start)) renamed.set(field, field.slice(start.length));
  }
  if (renamed.size === 0) return error;
  const metadata = Object.entries(error.metadata).map(([key, value]) => [key, renamed.get(value) ?? value]);
  return new RpcError(error.code, renameIn(error.message, renamed), {
    reason: error.reason,
    metadata: Object.fromEntries(metadata),
    fieldViolations: error.fieldViolations.map((violation) => ({
      ...violation,
      field: violation.field === prefix ? "" : (renamed.get(violation.field) ?? violation.field),
    })),
    cause: error.cause,
    ...(error.retryDelayMs !== undefined && { retryDelayMs: error.retryDelayMs }),
  });
}

/** Paths stand at the start of a message, or between spaces and commas; in quotes is what the client sent. */
function renameIn(message: string, renamed: ReadonlyMap<string, string>): string {
  // The longest first: job.http is the start of job.http.body.
  const paths = [...renamed.keys()].sort((a, b) => b.length - a.length).map(escapeRegExp);
  const pattern = new RegExp(`(?<=^|[ ,])(${paths.join("|")})(?=[,: ]|$)`, "g");
  return message.replace(pattern, (path) => renamed.get(path) ?? path);
}

function escapeRegExp(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

function messageOf(violations: readonly FieldViolation[]): string {
  const [first, ...others] = violations;
  if (!first) return "the request is not valid";
  const more = others.length > 0 ? ` (and ${others.length} more)` : "";
  return `${first.field === "" ? "" : `${first.field}: `}${first.description}${more}`;
}
