import { RpcError } from "../errors/rpc-error.ts";
import { readOnlyVerbs, refuseVerb, sendError } from "./http-answers.ts";
import type { HttpFace } from "./http-exchange.ts";

/** What operators and their machines ask for. */
export interface Probes {
  /** Whether the service does its work at this moment. */
  ready(): boolean | Promise<boolean>;
  /** Prometheus text. */
  metrics(): Promise<{ contentType: string; body: string }>;
}

const paths: ReadonlySet<string> = new Set(["/healthz", "/readyz", "/metrics"]);

/** /healthz (the process answers), /readyz (it does its work), /metrics (when `authenticate` throws nothing). */
export function createProbesFace(probes: Probes, authenticate: (authorization: string | undefined) => void): HttpFace {
  return async (exchange) => {
    const { path, request, response } = exchange;
    const plain = { "content-type": "text/plain; charset=utf-8", "cache-control": "no-store" };
    if (!paths.has(path)) return false;
    if (request.method !== "GET" && request.method !== "HEAD") {
      refuseVerb(exchange, readOnlyVerbs);
      return true;
    }
    switch (path) {
      case "/healthz":
        response.writeHead(200, plain).end("ok\n");
        return true;
      case "/readyz": {
        const ready = await probes.ready();
        response.writeHead(ready ? 200 : 503, plain).end(ready ? "ready\n" : "not ready\n");
        return true;
      }
      case "/metrics":
        try {
          authenticate(request.headers.authorization);
        } catch (error) {
          if (!(error instanceof RpcError)) throw error;
          sendError(response, error);
          return true;
        }
        response.setHeader("cache-control", "no-store");
        await probes.metrics().then(({ contentType, body }) => {
          response.writeHead(200, { "content-type": contentType }).end(body);
        });
        return true;
      default:
        return false;
    }
  };
}
