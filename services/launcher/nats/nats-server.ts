import { connect } from "node:net";
import { type Clock, sleep } from "../../platform/process/clock.ts";

export interface NatsServerOptions {
  host: string;
  port: number;
  /** Where JetStream keeps its streams. */
  storeDir: string;
  /** `always`: an acknowledged message survives a power cut. `default`: the broker flushes every two minutes. */
  sync: "always" | "default";
  /** What all streams together may take. Left out, it is three quarters of the disk that is free at the start. */
  maxStoreBytes?: number;
  /** Where it tells of its health over HTTP, on the same host. */
  monitorPort?: number;
}

/** The configuration file of an embedded nats-server. */
export function natsConfig(options: NatsServerOptions): string {
  return [
    `host: ${JSON.stringify(options.host)}`,
    `port: ${options.port}`,
    ...(options.monitorPort === undefined ? [] : [`http: "${options.host}:${options.monitorPort}"`]),
    "max_payload: 1MB",
    "jetstream {",
    `  store_dir: ${JSON.stringify(options.storeDir)}`,
    ...(options.maxStoreBytes === undefined ? [] : [`  max_file_store: ${options.maxStoreBytes}`]),
    ...(options.sync === "always" ? ["  sync_interval: always"] : []),
    "}",
    "",
  ].join("\n");
}

/** nats-server tells much at its start that nobody asked for; what is wrong it marks. */
export function isNatsWarning(line: string): boolean {
  return /\[(WRN|ERR|FTL)\]/.test(line) || !/\[[A-Z]{3}\]/.test(line);
}

const pollMs = 25;
const tryTimeoutMs = 1_000;

/**
 * Resolves when the server greets its clients; it opens its port only after
 * JetStream has recovered its streams. Resolves early when the signal is aborted.
 */
export async function natsReady(host: string, port: number, clock: Clock, signal: AbortSignal): Promise<void> {
  while (!signal.aborted && (await greeting(host, port)) !== "nats") await sleep(clock, pollMs, signal);
}

/** `nats`: a server greets its clients. `foreign`: something else does. Else why there is no word, as a system's error code. */
export function greeting(host: string, port: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: tryTimeoutMs });
    const finish = (what: string) => {
      socket.destroy();
      resolve(what);
    };
    socket.once("data", (chunk) => finish(chunk.toString("latin1").startsWith("INFO ") ? "nats" : "foreign"));
    // Of a name with several addresses it is a list, whose own message is empty.
    socket.once("error", (error: NodeJS.ErrnoException) => finish(error.code ?? error.message));
    socket.once("timeout", () => finish("it says nothing"));
    socket.once("close", () => finish("it closes the connection"));
  });
}
