import type { Socket } from "node:net";
import { errorToJson } from "@connectrpc/connect/protocol-connect";
import { isRpcPath, sendRpcError } from "../connect/rpc-refusal.ts";
import { toConnectError } from "../errors/error-details.ts";
import { RpcError } from "../errors/rpc-error.ts";
import { errorBody, sendError } from "../http/http-answers.ts";
import type { HttpExchange } from "../http/http-exchange.ts";

/** Refuses a request before any face has it, in the form of the face that would. */
export function refuse({ request, response, path }: HttpExchange, error: RpcError): void {
  if (isRpcPath(path)) sendRpcError(request, response, error);
  else sendError(response, error);
}

/** Of what Node says of a request that it could not read to the end of its headers, or in time. */
const unreadable: Readonly<Record<string, [status: string, message: string, reason: string]>> = {
  HPE_HEADER_OVERFLOW: [
    "431 Request Header Fields Too Large",
    "the headers are larger than this server takes",
    "HEADERS_TOO_LARGE",
  ],
  ERR_HTTP_REQUEST_TIMEOUT: ["408 Request Timeout", "the request did not come within its time", "REQUEST_TIMEOUT"],
};
const malformed = ["400 Bad Request", "this is no HTTP request", "MALFORMED_REQUEST"] as const;

/** Answers on a connection that brought what is no request, and ends it. */
export function refuseUnreadable(error: Error & { code?: string; rawPacket?: Buffer }, socket: Socket): void {
  if (!socket.writable || error.code === "ECONNRESET") return void socket.destroy();
  const [status, message, reason] = unreadable[error.code ?? ""] ?? malformed;
  const refusal = new RpcError("INVALID_ARGUMENT", message, { reason });
  // Mostly the packet begins with the request.
  const path = /^[A-Z]+ (\S+)/.exec(error.rawPacket?.subarray(0, 1_024).toString("latin1") ?? "")?.[1] ?? "";
  const json = isRpcPath(path)
    ? errorToJson(toConnectError(refusal), undefined)
    : errorBody(refusal, Number(status.slice(0, 3)));
  const body = `${JSON.stringify(json)}\n`;
  const head = [
    `HTTP/1.1 ${status}`,
    "Content-Type: application/json",
    `Content-Length: ${Buffer.byteLength(body)}`,
    "Cache-Control: no-store",
    "Connection: close",
  ];
  socket.end(`${head.join("\r\n")}\r\n\r\n${body}`);
}
