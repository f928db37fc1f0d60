import type { IncomingMessage, ServerResponse } from "node:http";
import type { JsonObject } from "@bufbuild/protobuf";
import { detailsOf } from "../errors/error-details.ts";
import { type RpcCode, RpcError } from "../errors/rpc-error.ts";
import { writeMessage } from "../json/json-writer.ts";

// google/rpc/code.proto names the HTTP status of each code.
const statusOfCode: Readonly<Record<RpcCode, number>> = {
  CANCELLED: 499,
  UNKNOWN: 500,
  INVALID_ARGUMENT: 400,
  DEADLINE_EXCEEDED: 504,
  NOT_FOUND: 404,
  ALREADY_EXISTS: 409,
  PERMISSION_DENIED: 403,
  UNAUTHENTICATED: 401,
  RESOURCE_EXHAUSTED: 429,
  FAILED_PRECONDITION: 400,
  ABORTED: 409,
  OUT_OF_RANGE: 400,
  UNIMPLEMENTED: 501,
  INTERNAL: 500,
  UNAVAILABLE: 503,
  DATA_LOSS: 500,
};

// HTTP has a word of its own for what never becomes a call.
const statusOfReason: Readonly<Record<string, number>> = {
  REQUEST_TOO_LARGE: 413,
  UNSUPPORTED_MEDIA_TYPE: 415,
  METHOD_NOT_ALLOWED: 405,
};

function httpStatusOf(error: RpcError): number {
  return statusOfReason[error.reason] ?? statusOfCode[error.code];
}

/** google.rpc.Status as Google's HTTP APIs write it (AIP-193): `{"error": {...}}`. */
export function errorBody(error: RpcError): { error: JsonObject } {
  const details = detailsOf(error).map(({ desc, value }) => ({
    "@type": `type.googleapis.com/${desc.typeName}`,
    ...(writeMessage(desc, value, { emitDefaults: false }) as JsonObject),
  }));
  return { error: { code: httpStatusOf(error), status: error.code, message: error.message, details } };
}

/** Answers with an error; without effect once an answer has begun. */
export function sendError(response: ServerResponse, error: RpcError): void {
  if (response.headersSent || response.destroyed) return;
  if (error.code === "UNAUTHENTICATED") {
    const why = error.reason === "CREDENTIALS_INVALID" ? ', error="invalid_token"' : "";
    response.setHeader("www-authenticate", `Bearer realm="carillon"${why}`);
  }
  if (error.retryDelayMs !== undefined) {
    response.setHeader("retry-after", Math.ceil(error.retryDelayMs / 1000));
  }
  sendJson(response, httpStatusOf(error), errorBody(error));
}

export function sendJson(response: ServerResponse, status: number, json: unknown): void {
  // The newline is for people with a terminal.
  const body = Buffer.from(`${JSON.stringify(json)}\n`);
  response.writeHead(status, {
    "content-type": "application/json",
    "content-length": body.length,
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
  });
  response.end(body);
}

export function notFound(verb: string, path: string): RpcError {
  return new RpcError("NOT_FOUND", `there is nothing at ${verb} ${path}; /docs lists what there is`, {
    reason: "UNKNOWN_PATH",
  });
}

/** Answers a verb that the path does not take, and OPTIONS. */
export function refuseVerb(asked: { request: IncomingMessage; response: ServerResponse; path: string }, allow: string) {
  const { request, response, path } = asked;
  response.setHeader("allow", allow);
  if (request.method === "OPTIONS") response.writeHead(204).end();
  else sendError(response, methodNotAllowed(request.method ?? "GET", path, allow));
}

/** Of what is there to be read, as pages and probes are. */
export const readOnlyVerbs = "GET, HEAD, OPTIONS";

function methodNotAllowed(verb: string, path: string, allow: string): RpcError {
  return new RpcError("UNIMPLEMENTED", `${path} does not take ${verb}; it takes ${allow}`, {
    reason: "METHOD_NOT_ALLOWED",
    metadata: { allow },
  });
}
