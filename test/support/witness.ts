import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** One request as an end-to-end test looks at it. */
export interface Call {
  path: string;
  method: string;
  headers: IncomingMessage["headers"];
  body: string;
  executionId: string;
  jobId: string;
  second: number;
  arrivedAtMs: number;
}

/** A target that keeps each request and lets a test wait for one. */
export interface Witness {
  url: string;
  calls: Call[];
  /** How to answer from now on; 200 by default. */
  answerWith(answer: (call: Call, response: ServerResponse) => void): void;
  /** Resolves when what has arrived passes. */
  until(passes: (calls: readonly Call[]) => boolean): Promise<void>;
  stop(): Promise<void>;
}

export async function startWitness(): Promise<Witness> {
  const calls: Call[] = [];
  const waiting = new Set<() => void>();
  let respond: (call: Call, response: ServerResponse) => void = (_call, response) => void response.end();
  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const arrivedAtMs = Date.now();
    let body = "";
    for await (const chunk of request) body += chunk;
    const header = (name: string) => String(request.headers[name] ?? "");
    const call: Call = {
      path: request.url ?? "",
      method: request.method ?? "",
      headers: request.headers,
      body,
      executionId: header("carillon-execution-id"),
      jobId: header("carillon-job-id"),
      second: Date.parse(header("carillon-scheduled-time")) / 1000,
      arrivedAtMs,
    };
    calls.push(call);
    respond(call, response);
    for (const check of waiting) check();
  };
  // Whoever is killed in the midst of its request has not called.
  const server = createServer((request, response) => void answer(request, response).catch(() => response.destroy()));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    calls,
    answerWith(answer) {
      respond = answer;
    },
    until: (passes) =>
      new Promise((resolve) => {
        const check = () => {
          if (!passes(calls)) return;
          waiting.delete(check);
          resolve();
        };
        waiting.add(check);
        check();
      }),
    async stop() {
      server.close();
      server.closeAllConnections();
    },
  };
}
