import { type DescMethod, type Message, toBinary, toJson } from "@bufbuild/protobuf";
import {
  type ConnectRouter,
  createConnectRouter,
  createContextKey,
  createContextValues,
  type HandlerContext,
  type MethodImpl,
} from "@connectrpc/connect";
import type { UniversalHandler, UniversalServerRequest } from "@connectrpc/connect/protocol";
import { universalRequestFromNodeRequest, universalResponseToNodeResponse } from "@connectrpc/connect-node";
import type {
  BoundMethod,
  BoundService,
  BoundStream,
  BoundUnary,
  CallContext,
  ReadRequest,
  WriteResponse,
} from "../call-context.ts";
import { toConnectError } from "../errors/error-details.ts";
import { RpcError } from "../errors/rpc-error.ts";
import { notFound, refuseVerb } from "../http/http-answers.ts";
import type { BodyLimit, HttpExchange, HttpFace } from "../http/http-exchange.ts";
import { bodyHeaders, connectRequest } from "./connect-request.ts";
import { addReflection } from "./reflection.ts";
import { isRpcPath, sendRpcError } from "./rpc-refusal.ts";

/** How the request is read, when it is not connect's to read. */
const readKey = createContextKey<ReadRequest | undefined>(undefined);

const jsonOptions = { alwaysEmitImplicit: true, ignoreUnknownFields: false };

/** Connect (JSON and binary), gRPC-Web and, over HTTP/2, gRPC at `/<package.Service>/<Method>`. */
export function createConnectFace(deps: { services: readonly BoundService[]; limit: BodyLimit }): HttpFace {
  const router = createConnectRouter({ jsonOptions });
  for (const { methods } of deps.services) {
    for (const method of methods) register(router, method, deps.limit(method.desc));
  }
  const bound = new Set(router.handlers.map(({ requestPath }) => requestPath));
  addReflection(
    router,
    deps.services.map(({ desc }) => desc),
  );
  const handlers = new Map(router.handlers.map((handler) => [handler.requestPath, handler]));
  return async (exchange) => {
    const handler = handlers.get(exchange.path);
    if (handler) {
      const refusal = refusalOf(handler, exchange);
      if (refusal) sendRpcError(exchange.request, exchange.response, refusal);
      else await serve(handler, exchange, bound.has(exchange.path) ? deps.limit(handler.method) : undefined);
      return true;
    }
    if (!isRpcPath(exchange.path)) return false;
    const { message } = notFound(exchange.request.method ?? "", exchange.path);
    sendRpcError(
      exchange.request,
      exchange.response,
      new RpcError("UNIMPLEMENTED", message, { reason: "UNKNOWN_RPC" }),
    );
    return true;
  };
}

const grpcType = /^application\/grpc(\+|;|$)/i;

/** What a protocol cannot do over HTTP/1.1, told by us rather than by a client that waits. */
function refusalOf(handler: UniversalHandler, { request }: HttpExchange): RpcError | undefined {
  if (request.httpVersionMajor >= 2) return undefined;
  const what = grpcType.test(request.headers["content-type"] ?? "")
    ? "gRPC"
    : handler.method.methodKind === "bidi_streaming" && "a stream in both directions";
  if (!what) return undefined;
  return new RpcError("UNIMPLEMENTED", `${what} needs HTTP/2`, { reason: "HTTP2_REQUIRED" });
}

/** `maxBytes`: of a request that we read ourselves; undefined: connect reads it. */
async function serve(handler: UniversalHandler, exchange: HttpExchange, maxBytes: number | undefined): Promise<void> {
  const { request, response } = exchange;
  const values = createContextValues();
  const universal = universalRequestFromNodeRequest(request, response, undefined, values);
  const { read, ...replacement } = maxBytes === undefined ? {} : connectRequest(handler.method, exchange, maxBytes);
  values.set(readKey, read);
  if (replacement.contentType !== undefined) universal.header.set("content-type", replacement.contentType);
  // The stand-in for a body that we read ourselves is neither compressed nor as long.
  if (read) for (const name of bodyHeaders) universal.header.delete(name);
  const answered: UniversalServerRequest = {
    ...universal,
    ...(replacement.body !== undefined && { body: replacement.body }),
    signal: exchange.signal,
  };
  const answer = await handler(answered);
  if (answer.status === 415) {
    const message = "send application/json, application/proto, or the content type of connect streaming or gRPC-Web";
    const refusal = new RpcError("INVALID_ARGUMENT", message, { reason: "UNSUPPORTED_MEDIA_TYPE" });
    return sendRpcError(request, response, refusal);
  }
  if (answer.status === 405) {
    const allow = [...handler.allowedMethods, "OPTIONS"].sort().join(", ");
    return refuseVerb(exchange, allow, (refusal) => sendRpcError(request, response, refusal));
  }
  if (answer.status === 401) response.setHeader("www-authenticate", 'Bearer realm="carillon"');
  // It throws when the client is gone; there is nobody left to tell.
  await universalResponseToNodeResponse(answer, response).catch(() => response.destroy());
}

function register(router: ConnectRouter, method: BoundMethod, readMaxBytes: number): void {
  const impl = method.kind === "unary" ? unaryImpl(method) : streamImpl(method);
  // One implementation for all: the pipeline has the types checked.
  router.rpc(method.desc, impl as unknown as MethodImpl<DescMethod>, { readMaxBytes });
}

function unaryImpl(method: BoundUnary) {
  return async (request: Message, context: HandlerContext) => {
    try {
      return await method.call(contextOf(context), readOf(context, request), writable(method.desc, context));
    } catch (error) {
      throw error instanceof RpcError ? toConnectError(error) : error;
    }
  };
}

function streamImpl(method: BoundStream) {
  return async function* (request: Message, context: HandlerContext) {
    try {
      yield* method.call(contextOf(context), readOf(context, request), writable(method.desc, context));
    } catch (error) {
      throw error instanceof RpcError ? toConnectError(error) : error;
    }
  };
}

function readOf(context: HandlerContext, request: Message): ReadRequest {
  return context.values.get(readKey) ?? (() => request);
}

/**
 * Encodes the answer once to see whether it can be encoded; that costs 2 µs a
 * job. connect does it only after the pipeline, and would tell the client in its
 * own words why it cannot; here it is a surprise as on the other faces.
 */
function writable({ output }: DescMethod, context: HandlerContext): WriteResponse<Message> {
  const isJson = context.responseHeader.get("content-type")?.includes("json") ?? false;
  return (response) => {
    if (isJson) toJson(output, response, jsonOptions);
    else toBinary(output, response);
    return response;
  };
}

const faceOf: Readonly<Record<string, CallContext["face"]>> = { grpc: "grpc", "grpc-web": "grpc-web" };

function contextOf(context: HandlerContext): CallContext {
  return {
    face: faceOf[context.protocolName] ?? "connect",
    header: (name) => context.requestHeader.get(name) ?? undefined,
    signal: context.signal,
    remainingMs: context.timeoutMs,
    // connect sends the headers of a stream with its first message.
    open: () => undefined,
  };
}
