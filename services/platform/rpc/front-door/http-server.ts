import { setMaxListeners } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { Clock } from "../../process/clock.ts";
import { type Address, formatAddress } from "../../process/environment.ts";
import type { Startable } from "../../process/lifecycle.ts";
import type { Log } from "../../process/log.ts";
import type { CallPipeline } from "../binding.ts";
import type { BoundService } from "../call-context.ts";
import { createConnectFace } from "../connect/connect-face.ts";
import { RpcError, stoppingError } from "../errors/rpc-error.ts";
import { notFound } from "../http/http-answers.ts";
import { type BodyLimit, createExchange, type HttpExchange, type HttpFace } from "../http/http-exchange.ts";
import { createProbesFace, type Probes } from "../http/probes-face.ts";
import { createRestFace } from "../rest/rest-face.ts";
import { type Cors, type CorsOrigins, createCors } from "./cors.ts";
import { isCrossSite, isLocalHost } from "./cross-site.ts";
import { hostFault } from "./host-header.ts";
import { createHttpDrain } from "./http-drain.ts";
import { openHttp2Door } from "./http2-door.ts";
import { refuse, refuseUnreadable } from "./refusal.ts";

export interface HttpServerConfig {
  /** Port 0 picks a free one. */
  address: Address;
  /** How large a request body may be. Default: 4 MiB, as gRPC has it elsewhere. */
  maxBodyBytes?: number;
  /** Methods that may take more, by full name: `{ "carillon.v1.JobService.BatchCreateJobs": 16 MiB }`. */
  maxBodyBytesOf?: Readonly<Record<string, number>>;
  /** Origins of other sites whose pages may call, or "*". Default: none. */
  corsOrigins?: CorsOrigins;
  /** How long requests in flight may take to end when the server stops. Default: 3 s. */
  drainMs?: number;
}

export interface HttpServerDeps {
  services: readonly BoundService[];
  /** The one that the services are bound to: /metrics asks for the same tokens. */
  pipeline: CallPipeline;
  probes: Probes;
  /** Further parts, asked first: docs, console. */
  faces?: readonly HttpFace[];
  log: Log;
  clock: Clock;
}

export interface HttpServer extends Startable {
  /** Where it listens; the port is the real one once it has started. */
  address(): Address;
}

const defaultMaxBodyBytes = 4 * 1024 * 1024;
const defaultDrainMs = 3_000;
const headersTimeoutMs = 10_000;
const requestTimeoutMs = 60_000;
// Longer than the idle timeout of common load balancers (60 s), which then
// never send a request into a connection that is being closed.
const keepAliveTimeoutMs = 65_000;

/**
 * The front door over HTTP/1.1, and HTTP/2 without TLS: Connect, gRPC-Web, REST, probes and whatever
 * faces are passed in, for bound services.
 */
export function createHttpServer(config: HttpServerConfig, deps: HttpServerDeps): HttpServer {
  const { services, clock, log } = deps;
  const limit: BodyLimit = (method) =>
    config.maxBodyBytesOf?.[`${method.parent.typeName}.${method.name}`] ?? config.maxBodyBytes ?? defaultMaxBodyBytes;
  const faces = [
    ...(deps.faces ?? []),
    createProbesFace(deps.probes, deps.pipeline.authenticate),
    createConnectFace({ services, limit }),
    createRestFace({ services, clock, limit }),
  ];
  const cors = createCors(config.corsOrigins ?? []);
  const shutdown = new AbortController();
  // Each exchange listens to it.
  setMaxListeners(0, shutdown.signal);

  const handle = (request: IncomingMessage, response: ServerResponse) => {
    connections.track(request, response);
    if (shutdown.signal.aborted) response.setHeader("connection", "close");
    serve(request, response);
  };
  const serve = (request: IncomingMessage, response: ServerResponse) => {
    // Listens to the response: a face that streams may not notice the end.
    response.once("finish", () => discardRest(request));
    const exchange = createExchange(request, response, shutdown.signal);
    answer(faces, exchange, { cors, open: deps.pipeline.open }).catch((error) => {
      log.error({ event: "http_request_failed", path: exchange.path, err: error });
      refuse(exchange, new RpcError("INTERNAL", "internal error", { reason: "INTERNAL" }));
      response.destroy(response.headersSent && !response.writableEnded ? error : undefined);
    });
  };
  const server = createServer(
    {
      headersTimeout: headersTimeoutMs,
      requestTimeout: requestTimeoutMs,
      keepAliveTimeout: keepAliveTimeoutMs,
      // Node's own answer has no body.
      requireHostHeader: false,
    },
    handle,
  );
  const refuseSocket = (error: Error & { code?: string }, socket: Socket) => refuseUnreadable(error, socket);
  const http2 = openHttp2Door(
    server,
    { prefaceTimeoutMs: headersTimeoutMs, requestTimeoutMs, keepAliveTimeoutMs },
    {
      clock,
      handle: serve,
      onHttp1: (socket) => connections.add(socket),
      onSilence: (socket) => refuseSocket(Object.assign(new Error(), { code: "ERR_HTTP_REQUEST_TIMEOUT" }), socket),
    },
  );
  const connections = createHttpDrain(server, http2);
  // readBody answers an Expect: 100-continue once it wants the body.
  server.on("checkContinue", handle);
  server.on("clientError", (error, socket) => refuseSocket(error, socket as Socket));

  let bound = config.address;
  let starting: Promise<void> | undefined;
  let stopping: Promise<void> | undefined;
  return {
    address: () => bound,
    start() {
      starting ??= listen(server, config.address).then((port) => {
        bound = { host: config.address.host, port };
        log.info({ event: "http_listening", address: formatAddress(bound) });
      });
      return starting;
    },
    stop() {
      stopping ??= (async () => {
        await starting?.catch(() => undefined);
        shutdown.abort(stoppingError());
        await connections.drain(config.drainMs ?? defaultDrainMs, deps);
      })();
      return stopping;
    },
  };
}

async function answer(
  faces: readonly HttpFace[],
  exchange: HttpExchange,
  { cors, open }: { cors: Cors; open: boolean },
): Promise<void> {
  const { request, response, path } = exchange;
  const wrongHost = hostFault(request);
  if (wrongHost) return refuse(exchange, wrongHost);
  if (open && !isLocalHost(request)) {
    const message = `without tokens only localhost is served, not ${request.headers.host}`;
    return refuse(exchange, new RpcError("PERMISSION_DENIED", message, { reason: "HOST_NOT_ALLOWED" }));
  }
  if (cors.answer(request, response)) return;
  if (isCrossSite(request) && !cors.allows(request)) {
    const message = "requests from pages of other sites are refused";
    return refuse(exchange, new RpcError("PERMISSION_DENIED", message, { reason: "CROSS_SITE" }));
  }
  for (const face of faces) {
    if (await face(exchange)) return;
  }
  refuse(exchange, notFound(request.method ?? "GET", path));
}

/**
 * A refused upload goes on arriving. Closing on it would reset the connection,
 * often before the client has read why; so the rest is read and dropped, for at
 * most the request timeout.
 */
function discardRest(request: IncomingMessage): void {
  if (!request.complete) request.resume();
}

function listen(server: Server, address: Address): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(address.port, address.host, () => {
      server.off("error", reject);
      resolve((server.address() as AddressInfo).port);
    });
  });
}
