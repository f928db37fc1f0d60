import type { IncomingMessage, ServerResponse } from "node:http";
import {
  codeToHttpStatus,
  endStreamFlag,
  endStreamToJson,
  errorToJsonBytes,
} from "@connectrpc/connect/protocol-connect";
import { setTrailerStatus } from "@connectrpc/connect/protocol-grpc";
import { toConnectError } from "../errors/error-details.ts";
import type { RpcError } from "../errors/rpc-error.ts";
import { setErrorHeaders, statusOfReason } from "../http/http-answers.ts";
import { envelope } from "./envelope.ts";

// A service is named in capitals: /openapi.json/x is none.
const rpcPath = /^\/([A-Za-z_]\w*\.)+[A-Z]\w*\//;

/** Whether a path is one where clients of Connect, gRPC-Web and gRPC call: `/<package.Service>/<Method>`. */
export function isRpcPath(path: string): boolean {
  return rpcPath.test(path);
}

/**
 * Refuses what never becomes a call, in the form that its client reads: Connect's JSON and HTTP status, the last envelope
 * of a Connect stream, or the status of gRPC in the headers of an answer without a body.
 */
export function sendRpcError(request: IncomingMessage, response: ServerResponse, error: RpcError): void {
  if (response.headersSent || response.destroyed) return;
  const refusal = toConnectError(error);
  const contentType = request.headers["content-type"]?.split(";")[0]?.trim().toLowerCase() ?? "";
  response.setHeader("cache-control", "no-store");
  response.setHeader("x-content-type-options", "nosniff");
  if (/^application\/grpc(-web)?(\+(json|proto))?$/.test(contentType)) {
    const headers = new Headers({ "content-type": contentType });
    setTrailerStatus(headers, refusal);
    for (const [name, value] of headers) response.setHeader(name, value);
    end(response, 200, Buffer.alloc(0));
    return;
  }
  if (/^application\/connect\+(json|proto)$/.test(contentType)) {
    response.setHeader("content-type", contentType);
    const last = JSON.stringify(endStreamToJson(new Headers(), refusal, undefined));
    end(response, 200, envelope(endStreamFlag, Buffer.from(last)));
    return;
  }
  setErrorHeaders(response, error);
  response.setHeader("content-type", "application/json");
  const status = statusOfReason[error.reason] ?? codeToHttpStatus(refusal.code);
  end(response, status, errorToJsonBytes(refusal, undefined));
}

function end(response: ServerResponse, status: number, body: Uint8Array): void {
  response.setHeader("content-length", body.length);
  response.writeHead(status).end(body);
}
