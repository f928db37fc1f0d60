import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Registry } from "prom-client";
import { type Address, formatAddress } from "./environment.ts";
import type { Startable } from "./lifecycle.ts";
import type { Log } from "./log.ts";

export interface OpsServerOptions {
  address: Address;
  metrics: Registry;
  /** Whether the service does its work at this moment; a text says why it does not. */
  ready: () => boolean | string | Promise<boolean | string>;
  log: Log;
}

export interface OpsServer extends Startable {
  /** Where it listens; the port is the real one when 0 was asked for. */
  address(): Address;
}

/** A service's own port for operators: /metrics (Prometheus text), /healthz (the process answers), /readyz (it does its work). */
export function createOpsServer(options: OpsServerOptions): OpsServer {
  const { address, metrics, log } = options;
  let server: Server | undefined;
  let bound = address;

  const answer = async (path: string): Promise<{ status: number; type: string; body: string }> => {
    const plain = "text/plain; charset=utf-8";
    switch (path) {
      case "/metrics":
        return { status: 200, type: metrics.contentType, body: await metrics.metrics() };
      case "/healthz":
        return { status: 200, type: plain, body: "ok\n" };
      case "/readyz": {
        const ready = await options.ready();
        if (ready === true) return { status: 200, type: plain, body: "ready\n" };
        return { status: 503, type: plain, body: ready === false ? "not ready\n" : `not ready: ${ready}\n` };
      }
      default:
        return { status: 404, type: plain, body: "not found: /metrics, /healthz and /readyz are here\n" };
    }
  };

  return {
    address: () => bound,
    async start() {
      if (server) return;
      const listening = createServer((request, response) => {
        answer(request.url?.split("?")[0] ?? "/").then(
          ({ status, type, body }) => response.writeHead(status, { "content-type": type }).end(body),
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
