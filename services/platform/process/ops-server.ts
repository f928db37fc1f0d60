import { createHash, timingSafeEqual } from "node:crypto";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Registry } from "prom-client";
import { type Condition, readinessOf } from "./conditions.ts";
import { type Address, formatAddress } from "./environment.ts";
import type { Startable } from "./lifecycle.ts";
import type { Log } from "./log.ts";

export interface OpsServerOptions {
  address: Address;
  metrics: Registry;
  /** What /metrics asks for, as a bearer token; undefined: everybody is let in. */
  metricsToken?: string | undefined;
  /** Whether the service does its work at this moment: each condition that it depends on, or yes or no. */
  ready: () => readonly Condition[] | boolean;
  log: Log;
}

export interface OpsServer extends Startable {
  /** Where it listens; the port is the real one when 0 was asked for. */
  address(): Address;
}

/**
 * A service's own port for operators: /metrics (Prometheus text), /livez and /healthz (the process answers, whatever
 * else is away), /readyz (it does its work; JSON, with each condition in words). Only /metrics ever asks for a token: an
 * orchestrator has none, and what the others tell is nobody's secret.
 */
export function createOpsServer(options: OpsServerOptions): OpsServer {
  const { address, metrics, log } = options;
  let server: Server | undefined;
  let bound = address;

  const { metricsToken } = options;

  const answer = async (path: string, authorization = ""): Promise<{ status: number; type: string; body: string }> => {
    const plain = "text/plain; charset=utf-8";
    switch (path) {
      case "/metrics":
        if (metricsToken !== undefined && !isBearer(authorization, metricsToken))
          return {
            status: 401,
            type: plain,
            body: "send the token between the services: Authorization: Bearer <token>\n",
          };
        return { status: 200, type: metrics.contentType, body: await metrics.metrics() };
      case "/livez":
      case "/healthz":
        return { status: 200, type: plain, body: "ok\n" };
      case "/readyz": {
        const ready = options.ready();
        const { status, conditions } = readinessOf(typeof ready === "boolean" ? [conditionOf(ready)] : ready);
        const body = `${JSON.stringify({ status, conditions })}\n`;
        return { status: status === "ready" ? 200 : 503, type: "application/json", body };
      }
      default:
        return { status: 404, type: plain, body: "not found: /metrics, /livez, /healthz and /readyz are here\n" };
    }
  };

  return {
    address: () => bound,
    async start() {
      if (server) return;
      const listening = createServer((request, response) => {
        answer(request.url?.split("?")[0] ?? "/", request.headers.authorization).then(
          ({ status, type, body }) => {
            if (status === 401) response.setHeader("www-authenticate", "Bearer");
            response.writeHead(status, { "content-type": type }).end(body);
          },
          (error) => {
            log.error({ event: "ops_request_failed", path: request.url, err: error });
            response.writeHead(500).end();
          },
        );
      });
      server = listening;
      await new Promise<void>((resolve, reject) => {
        listening.once("error", reject);
        listening.listen(address.port, address.host, resolve);
      });
      bound = { host: address.host, port: (listening.address() as AddressInfo).port };
      log.info({ event: "ops_listening", address: formatAddress(bound) });
    },
    async stop() {
      const closing = server;
      if (!closing?.listening) return;
      await new Promise<void>((resolve) => {
        closing.close(() => resolve());
        closing.closeAllConnections();
      });
    },
  };
}

/** In a time that tells nothing about the token. */
function isBearer(authorization: string, token: string): boolean {
  const presented = /^bearer +(\S+) *$/i.exec(authorization)?.[1] ?? "";
  const digest = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(presented), digest(token));
}

function conditionOf(ok: boolean): Condition {
  return { name: "working", ok, message: ok ? "does its work" : "does not do its work" };
}
