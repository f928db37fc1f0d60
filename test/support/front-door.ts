import { connect } from "node:net";
import { pino } from "pino";
import { type Clock, systemClock } from "../../services/platform/process/clock.ts";
import { formatAddress } from "../../services/platform/process/environment.ts";
import { createHttpServer, type HttpServer } from "../../services/platform/rpc/front-door/http-server.ts";
import { createFakeBackend, type FakeBackend } from "./faces-service.ts";

export interface FrontDoor {
  readonly backend: FakeBackend;
  readonly server: HttpServer;
  url(path: string): string;
  /** One request; a body that is neither text nor bytes is sent as JSON. */
  call(verb: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>;
}

export interface Answer {
  status: number;
  headers: Headers;
  text: string;
  // biome-ignore lint/suspicious/noExplicitAny: any JSON at all
  json: any;
}

/** The HTTP front door over the backend of the contract suite, with a small limit for bodies. */
export async function startFrontDoor(
  options: {
    tokens?: string[];
    ready?: () => boolean | Promise<boolean>;
    clock?: Clock;
    corsOrigins?: string[];
    drainMs?: number;
  } = {},
): Promise<FrontDoor> {
  const backend = createFakeBackend(options);
  const { services, pipeline } = backend;
  const metrics = async () => ({ contentType: backend.metrics.contentType, body: await backend.metrics.metrics() });
  const ready = options.ready ?? (() => true);
  const probes = {
    conditions: async () => [{ name: "told", ok: await ready(), message: "as the test says" }],
    metrics,
  };
  const server = createHttpServer(
    {
      address: { host: "127.0.0.1", port: 0 },
      maxBodyBytes: 300_000,
      corsOrigins: options.corsOrigins ?? [],
      ...(options.drainMs !== undefined && { drainMs: options.drainMs }),
    },
    { services, pipeline, probes, log: pino({ level: "silent" }), clock: options.clock ?? systemClock },
  );
  await server.start();
  const url = (path: string) => `http://${formatAddress(server.address())}${path}`;
  return {
    backend,
    server,
    url,
    async call(verb, path, body, headers = {}) {
      const response = await fetch(url(path), {
        method: verb,
        headers: { ...(body !== undefined && { "content-type": "application/json" }), ...headers },
        ...(body !== undefined && {
          body: typeof body === "string" || Buffer.isBuffer(body) ? body : JSON.stringify(body),
        }),
      });
      const text = await response.text();
      const isJson = text !== "" && response.headers.get("content-type")?.includes("json");
      return { status: response.status, headers: response.headers, text, json: isJson ? JSON.parse(text) : undefined };
    },
  };
}

/** google.rpc.BadRequest of an error answer. */
export function violationsOf({ json }: Pick<Answer, "json">): unknown {
  const details: { "@type": string; field_violations?: unknown }[] = json.error.details;
  return details.find((detail) => detail["@type"].endsWith("BadRequest"))?.field_violations;
}

/** google.rpc.ErrorInfo.reason of an error answer. */
export function reasonOf({ json }: Pick<Answer, "json">): unknown {
  return json.error.details[0]?.reason;
}

/** All that the server says to raw bytes on one connection, until it has answered so many times. */
export function converse(server: HttpServer, answers: number, ...parts: string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const { host, port } = server.address();
    const socket = connect(port, host);
    let text = "";
    const end = () => resolve(text);
    socket.setEncoding("latin1");
    socket.on("error", reject).on("close", end);
    socket.on("data", (chunk) => {
      text += chunk;
      if (statusesIn(text).length < answers) return;
      socket.destroy();
    });
    for (const part of parts) socket.write(part);
  });
}

export function statusesIn(text: string): number[] {
  return [...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map((match) => Number(match[1]));
}
