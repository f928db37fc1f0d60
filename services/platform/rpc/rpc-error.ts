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
// them: the message percent-encoded, and once more beside the details in base64,
// which makes four bytes of three. So 2048 + 4/3 * (1024 + 2560 + 512) bytes at
// most, and room for the names. A client that sent a thousand bad fields can do
// with the first ones.
const maxEncodedMessageBytes = 2048;
const maxMessageBytes = 1024;
const maxViolationsBytes = 2560;
const maxMetadataBytes = 512;
const maxPathBytes = 256;
const maxDescriptionBytes = 512;
const maxMetadataValueBytes = 256;
// What protobuf adds to two strings in a message of their own.
const framingBytes = 12;

function boundMessage(message: string): string {
  // Lone surrogates cannot be sent: encodeURI throws on them.
  const text = shorten(message.toWellFormed(), maxMessageBytes, Buffer.byteLength);
  return shorten(text, maxEncodedMessageBytes, (part) => encodeURI(part).length);
}

function boundViolations(violations: readonly FieldViolation[]): readonly FieldViolation[] {
  const kept: FieldViolation[] = [];
  let bytes = 0;
  for (const violation of violations) {
    const field = shorten(violation.field.toWellFormed(), maxPathBytes, Buffer.byteLength);
    const description = shorten(violation.description.toWellFormed(), maxDescriptionBytes, Buffer.byteLength);
    bytes += Buffer.byteLength(field) + Buffer.byteLength(description) + framingBytes;
    if (bytes > maxViolationsBytes) break;
    kept.push({ field, description });
  }
  return kept;
}

function boundMetadata(metadata: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const kept: Record<string, string> = {};
  let bytes = 0;
  for (const [key, value] of Object.entries(metadata)) {
    const text = shorten(value.toWellFormed(), maxMetadataValueBytes, Buffer.byteLength);
    bytes += Buffer.byteLength(key) + Buffer.byteLength(text) + framingBytes;
    if (bytes > maxMetadataBytes) break;
    kept[key] = text;
  }
  return kept;
}

// Percent-encoded, a UTF-16 unit takes nine bytes at most; in UTF-8 three.
const mostBytesOfUnit = 9;
const ellipsis = "…";

/** Cuts between characters, so that the text takes no more than `maxBytes` as `sizeOf` counts. */
function shorten(text: string, maxBytes: number, sizeOf: (part: string) => number): string {
  if (text.length * mostBytesOfUnit <= maxBytes) return text;
  if (text.length <= maxBytes && sizeOf(text) <= maxBytes) return text;
  let bytes = sizeOf(ellipsis);
  let end = 0;
  for (const character of text) {
    bytes += sizeOf(character);
    if (bytes > maxBytes) break;
    end += character.length;
  }
  return text.slice(0, end) + ellipsis;
}
