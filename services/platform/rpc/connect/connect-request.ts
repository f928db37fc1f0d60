import type { DescMethod, JsonValue } from "@bufbuild/protobuf";
import type { ReadRequest } from "../call-context.ts";
import { decodeMessage } from "../decode-message.ts";
import { RpcError } from "../errors/rpc-error.ts";
import type { HttpExchange } from "../http/http-exchange.ts";
import { decompress, readBody } from "../http/request-body.ts";
import { readMessage } from "../json/json-reader.ts";
import { parseJson } from "../json/json-syntax.ts";
import { compressedFlag, envelopeBytes, envelope as wrap } from "./envelope.ts";

/** What connect gets instead of the request that we read ourselves. */
export interface ConnectRequest {
  /** Absent: connect reads the request. */
  read?: ReadRequest;
  contentType?: string;
  body?: AsyncIterable<Uint8Array> | JsonValue;
}

/**
 * Connect and gRPC-Web requests are read here, not by connect: with the reader
 * of the REST face (short enum names, paths in errors), after the token was
 * checked, and with our own errors. connect gets an empty message in their
 * place. Only GET it reads itself.
 */
export function connectRequest(method: DescMethod, exchange: HttpExchange, maxBytes: number): ConnectRequest {
  const { request, response } = exchange;
  if (request.method !== "POST") return {};
  const contentType = request.headers["content-type"]?.split(";")[0]?.trim().toLowerCase();
  const body = () => readBody(request, response, maxBytes);
  const envelope = async (encodingHeader: string) =>
    openEnvelope(await readBody(request, response, maxBytes, envelopeBytes), request.headers[encodingHeader], maxBytes);
  const readJson = (bytes: Buffer) => readMessage(method.input, bytes.length === 0 ? {} : parseJson(bytes));
  const streams = method.methodKind !== "unary";
  switch (contentType) {
    // What `curl -d` says when nobody tells it otherwise.
    case "application/x-www-form-urlencoded":
    case "application/json":
      if (streams) return {};
      return { read: async () => readJson(await body()), contentType: "application/json", body: {} };
    case "application/proto":
      if (streams) return {};
      return { read: async () => decodeMessage(method.input, await body()), body: once() };
    case "application/connect+json":
      return { read: async () => readJson(await envelope(connectEncoding)), body: once(emptyJsonEnvelope) };
    case "application/connect+proto":
      return {
        read: async () => decodeMessage(method.input, await envelope(connectEncoding)),
        body: once(emptyEnvelope),
      };
    case "application/grpc+json":
    case "application/grpc-web+json":
      return { read: async () => readJson(await envelope(grpcEncoding)), body: once(emptyJsonEnvelope) };
    case "application/grpc":
    case "application/grpc+proto":
    case "application/grpc-web":
    case "application/grpc-web+proto":
      return { read: async () => decodeMessage(method.input, await envelope(grpcEncoding)), body: once(emptyEnvelope) };
    default:
      return {};
  }
}

/** Headers about the body that was sent; connect must not take them for its stand-in. */
export const bodyHeaders = ["content-encoding", "content-length", "connect-content-encoding", "grpc-encoding"];

const connectEncoding = "connect-content-encoding";
const grpcEncoding = "grpc-encoding";

const emptyEnvelope = Buffer.alloc(envelopeBytes);
const emptyJsonEnvelope = wrap(0, Buffer.from("{}"));

async function openEnvelope(bytes: Buffer, encoding: string | string[] | undefined, maxBytes: number): Promise<Buffer> {
  const length = bytes.length < envelopeBytes ? -1 : bytes.readUInt32BE(1);
  if (length !== bytes.length - envelopeBytes) {
    throw new RpcError("INVALID_ARGUMENT", "expected one message in one envelope", { reason: "MALFORMED_REQUEST" });
  }
  const message = bytes.subarray(envelopeBytes);
  if (((bytes[0] ?? 0) & compressedFlag) === 0) return message;
  return decompress(message, typeof encoding === "string" ? encoding : undefined, maxBytes);
}

async function* once(chunk?: Uint8Array): AsyncGenerator<Uint8Array> {
  if (chunk) yield chunk;
}
