import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** One request that arrived. */
export interface Arrival {
  path: string;
  method: string;
  executionId: string;
  attempt: number;
  /** Wall clock. */
  atMs: number;
  headers: IncomingMessage["headers"];
  body: string;
}

/** How a path answers; every path answers 200 with an empty body unless told otherwise. */
export interface Behaviour {
  status?: number;
  headers?: Record<string, string>;
  body?: string | Buffer;
  /** Before the answer. */
  delayMs?: number;
  /** Answers once this is fulfilled. */
  after?: Promise<void>;
  /** Never answers. */
  hang?: boolean;
  /** Sends the head, a little of the body, and then nothing. */
  stall?: boolean;
  /** Closes the connection instead of answering. */
  close?: boolean;
}

/** A real HTTP server on a free port that records what arrives and answers as it is told. */
export interface Target {
  readonly origin: string;
  readonly port: number;
  url(path: string): string;
  /** From now on this path (without query) behaves like this; a function decides by the arrival. */
  on(path: string, behaviour: Behaviour | ((arrival: Arrival) => Behaviour)): void;
  arrivals(path?: string): Arrival[];
  /** Distinct connections that requests came on. */
  connections(): number;
  /** Resolves once the condition holds; it is looked at after each arrival. */
  until(condition: () => boolean): Promise<void>;
  stop(): Promise<void>;
}

export async function startTarget(): Promise<Target> {
  const arrivals: Arrival[] = [];
  const behaviours = new Map<string, Behaviour | ((arrival: Arrival) => Behaviour)>();
  const timers = new Set<NodeJS.Timeout>();
  let waiters: { condition: () => boolean; resolve: () => void }[] = [];
  let connections = 0;

  const record = (request: IncomingMessage, path: string, body: string): Arrival => {
    const arrival: Arrival = {
      path,
      method: request.method ?? "",
      executionId: String(request.headers["carillon-execution-id"] ?? ""),
      attempt: Number(request.headers["carillon-attempt"] ?? 0),
      atMs: Date.now(),
      headers: request.headers,
      body,
    };
    arrivals.push(arrival);
    return arrival;
  };

  const answer = (behaviour: Behaviour, response: ServerResponse) => {
    const { status = 200, headers = {}, body = "" } = behaviour;
    if (behaviour.close) return void response.socket?.destroy();
    if (behaviour.hang) return;
    if (behaviour.stall) return void response.writeHead(status, { ...headers, "Content-Length": "1000" }).write("a");
    response.writeHead(status, { ...headers, "Content-Length": String(Buffer.byteLength(body)) }).end(body);
  };

  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const path = request.url?.split("?")[0] ?? "/";
      const arrival = record(request, path, Buffer.concat(chunks).toString());
      const chosen = behaviours.get(path) ?? {};
      const behaviour = typeof chosen === "function" ? chosen(arrival) : chosen;
      if (behaviour.after) void behaviour.after.then(() => answer(behaviour, response));
      else if (behaviour.delayMs === undefined) answer(behaviour, response);
      else {
        const timer = setTimeout(() => {
          timers.delete(timer);
          answer(behaviour, response);
        }, behaviour.delayMs);
        timers.add(timer);
      }
      const [met, open] = [waiters.filter((one) => one.condition()), waiters.filter((one) => !one.condition())];
      waiters = open;
      for (const { resolve } of met) resolve();
    });
  });
  server.on("connection", (socket) => {
    connections++;
    socket.on("error", () => socket.destroy());
  });
  server.listen(0, "127.0.0.1", 1_024);
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const origin = `http://127.0.0.1:${port}`;

  return {
    origin,
    port,
    url: (path) => origin + path,
    on: (path, behaviour) => void behaviours.set(path, behaviour),
    arrivals: (path) => (path === undefined ? arrivals : arrivals.filter((one) => one.path === path)),
    connections: () => connections,
    until: (condition) =>
      condition() ? Promise.resolve() : new Promise((resolve) => waiters.push({ condition, resolve })),
    async stop() {
      for (const timer of timers) clearTimeout(timer);
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}
