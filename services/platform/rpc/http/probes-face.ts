import { type Condition, readinessOf } from "../../process/conditions.ts";
import { RpcError } from "../errors/rpc-error.ts";
import { readOnlyVerbs, refuseVerb, sendError, sendJson } from "./http-answers.ts";
import type { HttpFace } from "./http-exchange.ts";

/** What operators and their machines ask for. */
export interface Probes {
  /** What must hold for the system to do its work, as it is at this moment. */
  conditions(): readonly Condition[] | Promise<readonly Condition[]>;
  /** Prometheus text. */
  metrics(): Promise<{ contentType: string; body: string }>;
}

const paths: ReadonlySet<string> = new Set(["/livez", "/healthz", "/readyz", "/metrics"]);

/**
 * /livez and /healthz (the process answers, whatever else is away), /readyz (each condition in words), /metrics (when
 * `authenticate` throws nothing).
 */
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
      case "/livez":
      case "/healthz":
        response.writeHead(200, plain).end("ok\n");
        return true;
      case "/readyz": {
        const readiness = readinessOf(await probes.conditions());
        sendJson(response, readiness.status === "ready" ? 200 : 503, readiness);
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
