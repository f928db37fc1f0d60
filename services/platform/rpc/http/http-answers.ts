import type { IncomingMessage, ServerResponse } from "node:http";
import { gzip } from "node:zlib";
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
export const statusOfReason: Readonly<Record<string, number>> = {
  REQUEST_TOO_LARGE: 413,
  UNSUPPORTED_MEDIA_TYPE: 415,
  METHOD_NOT_ALLOWED: 405,
  // Both protocols behind such paths know the one and the other of it.
  UNKNOWN_RPC: 404,
  RESUME_TOKEN_TOO_OLD: 410,
};

function httpStatusOf(error: RpcError): number {
  return statusOfReason[error.reason] ?? statusOfCode[error.code];
}

/** google.rpc.Status as Google's HTTP APIs write it (AIP-193): `{"error": {...}}`. */
export function errorBody(error: RpcError, status = httpStatusOf(error)): { error: JsonObject } {
  const details = detailsOf(error).map(({ desc, value }) => ({
    "@type": `type.googleapis.com/${desc.typeName}`,
    ...(writeMessage(desc, value, { emitDefaults: false }) as JsonObject),
  }));
  return { error: { code: status, status: error.code, message: error.message, details } };
}

/** Answers with an error; without effect once an answer has begun. `status`: where it is not that of the error's code. */
export function sendError(response: ServerResponse, error: RpcError, status = httpStatusOf(error)): void {
  if (response.headersSent || response.destroyed) return;
  setErrorHeaders(response, error);
  sendJson(response, status, errorBody(error, status));
}

/** What HTTP tells of an error beside its status. */
export function setErrorHeaders(response: ServerResponse, error: RpcError): void {
  if (error.code === "UNAUTHENTICATED") {
    const why = error.reason === "CREDENTIALS_INVALID" ? ', error="invalid_token"' : "";
    response.setHeader("www-authenticate", `Bearer realm="carillon"${why}`);
  }
  if (error.retryDelayMs !== undefined) {
    response.setHeader("retry-after", Math.ceil(error.retryDelayMs / 1000));
  }
}

// Below that it saves no packet worth its time.
const zippedFromBytes = 4_096;

export function sendJson(response: ServerResponse, status: number, json: unknown): void {
  // The newline is for people with a terminal.
  const body = Buffer.from(`${JSON.stringify(json)}\n`);
  response.statusCode = status;
  response.setHeader("content-type", "application/json");
  response.setHeader("cache-control", "no-store");
  response.setHeader("x-content-type-options", "nosniff");
  sendZippable(response, body);
}

/** Ends an answer whose head is set with this body, compressed where that is worth it and its client takes it. */
export function sendZippable(response: ServerResponse, body: Buffer): void {
  // An entity tag is that of one form of the answer (RFC 9110, 8.8.3.3), and is to be sent back as it is.
  if (body.length < zippedFromBytes || response.hasHeader("etag")) return sendBytes(response, body);
  response.appendHeader("vary", "accept-encoding");
  const { method, headers } = response.req;
  if (method === "HEAD" || !takesGzip(headers["accept-encoding"])) return sendBytes(response, body);
  gzip(body, (error, zipped) => {
    if (response.destroyed) return;
    if (error) return sendBytes(response, body);
    response.setHeader("content-encoding", "gzip");
    sendBytes(response, zipped);
  });
}

function sendBytes(response: ServerResponse, bytes: Buffer): void {
  response.setHeader("content-length", bytes.length);
  response.end(bytes);
}

/** By Accept-Encoding (RFC 9110, 12.5.3). What says nothing of gzip does not ask for it. */
export function takesGzip(acceptEncoding: string | string[] | undefined): boolean {
  const codings = String(acceptEncoding ?? "")
    .toLowerCase()
    .split(",");
  const weightOf = (wanted: string) => {
    for (const coding of codings) {
      const [name, ...parameters] = coding.split(";").map((part) => part.trim());
      if (name !== wanted) continue;
      const weight = parameters.find((parameter) => parameter.startsWith("q="));
      return weight === undefined ? 1 : Number(weight.slice(2));
    }
    return undefined;
  };
  return (weightOf("gzip") ?? weightOf("*") ?? 0) > 0;
}

/** Whoever asked has it already; the ETag is set. */
export function sendNotModified(response: ServerResponse): void {
  response.writeHead(304, { "cache-control": "no-store" }).end();
}

export function notFound(verb: string, path: string): RpcError {
  return new RpcError("NOT_FOUND", `there is nothing at ${verb} ${path}; /docs lists what there is`, {
    reason: "UNKNOWN_PATH",
  });
}

/** Answers a verb that the path does not take, and OPTIONS. `send`: where an error has another form. */
export function refuseVerb(
  asked: { request: IncomingMessage; response: ServerResponse; path: string },
  allow: string,
  send: (error: RpcError) => void = (error) => sendError(asked.response, error),
): void {
  const { request, response, path } = asked;
  response.setHeader("allow", allow);
  if (request.method === "OPTIONS") response.writeHead(204).end();
  else send(methodNotAllowed(request.method ?? "GET", path, allow));
}

/** Of what is there to be read, as pages and probes are. */
export const readOnlyVerbs = "GET, HEAD, OPTIONS";

function methodNotAllowed(verb: string, path: string, allow: string): RpcError {
  // Of the canonical codes none is this one. UNIMPLEMENTED says of a method that it is not built yet.
  return new RpcError("INVALID_ARGUMENT", `${path} does not take ${verb}; it takes ${allow}`, {
    reason: "METHOD_NOT_ALLOWED",
    metadata: { allow },
  });
}
