import { isNameServer } from "../net/resolv-conf.ts";
import type { Address, EnvironmentReader } from "./environment.ts";
import { formatAddress, isLoopback } from "./environment.ts";
import type { LogFormat, LogLevel } from "./log.ts";

/** What every service reads. */
export interface CommonSettings {
  /** One broker's URL or several, separated by commas. */
  natsUrl: string;
  /** Copies of each stream in a cluster of brokers. */
  replicas: number;
  /** What all streams together may take on one broker; undefined: what the broker's account may. */
  brokerMaxBytes: number | undefined;
  /** The service's own /metrics, /livez and /readyz. */
  opsAddress: Address;
  /** What that /metrics asks for where other machines reach it; undefined: nothing. */
  opsToken?: string | undefined;
  logLevel: LogLevel;
  logFormat: LogFormat;
}

export function readCommonSettings(read: EnvironmentReader, defaults: { opsPort: number }): CommonSettings {
  const opsAddress = read.address("CARILLON_OPS_ADDR", `127.0.0.1:${defaults.opsPort}`);
  return {
    natsUrl: read.natsUrl() ?? "nats://127.0.0.1:4222",
    replicas: readReplicas(read),
    brokerMaxBytes: readBrokerMaxBytes(read),
    opsAddress,
    // A job may call whatever an executor reaches, and its answer is read by whoever made the job.
    opsToken: isLoopback(opsAddress.host) ? undefined : readInternalToken(read),
    logLevel: read.logLevel(),
    logFormat: read.logFormat(),
  };
}

export function readReplicas(read: EnvironmentReader): number {
  return read.integer("CARILLON_REPLICAS", 1, 1, 5);
}

/** Enough for a few of the largest messages in the smallest stream. */
export const leastBrokerBytes = 8 * 1024 ** 2;
const mostBrokerBytes = 2 ** 50;

export function readBrokerMaxBytes(read: EnvironmentReader): number | undefined {
  const name = "CARILLON_BROKER_MAX_BYTES";
  if (read.optional(name) === undefined) return undefined;
  return read.integer(name, leastBrokerBytes, leastBrokerBytes, mostBrokerBytes);
}

/** The folder that everything is kept in. */
export function readDataDir(read: EnvironmentReader): string {
  return read.text("CARILLON_DATA_DIR", ".carillon");
}

/** The bearer token between services; undefined: none is asked for. */
export function readInternalToken(read: EnvironmentReader): string | undefined {
  return read.optional("CARILLON_INTERNAL_TOKEN");
}

/** What a service needs to call history. */
export interface HistoryAccess {
  historyAddress: Address;
  internalToken: string | undefined;
}

export function readHistoryAccess(read: EnvironmentReader): HistoryAccess {
  return {
    historyAddress: read.address("CARILLON_HISTORY_ADDR", "127.0.0.1:9093"),
    internalToken: readInternalToken(read),
  };
}

/** How much history keeps. */
export interface HistoryBounds {
  /** What is older is forgotten. */
  retentionSeconds: number;
  /** What history may take of its disk; undefined: as much as there is. */
  maxBytes: number | undefined;
}

const leastRetention = "1m";
// Below this a commit or two fill the write-ahead log.
const leastHistoryBytes = "16MB";

export function readHistoryBounds(read: EnvironmentReader): HistoryBounds {
  return {
    retentionSeconds: read.durationSeconds("CARILLON_HISTORY_RETENTION", "30d", leastRetention),
    maxBytes: read.bytes("CARILLON_HISTORY_MAX_BYTES", leastHistoryBytes),
  };
}

/** Asked for the names of targets, instead of those in resolv.conf; empty: those. */
export function readNameServers(read: EnvironmentReader): string[] {
  const servers = read.list("CARILLON_NAME_SERVERS");
  for (const server of servers) {
    if (!isNameServer(server))
      read.problem(`CARILLON_NAME_SERVERS: ${JSON.stringify(server)} is no IP address, as 10.0.0.2 or 10.0.0.2:53`);
  }
  return servers;
}

/** Where users come in. */
export interface FrontDoor {
  httpAddress: Address;
  grpcAddress: Address;
  /** Bearer tokens; none: loopback only, and everybody there is let in. */
  apiTokens: readonly string[];
  /** Origins whose pages may call, or "*" alone. */
  corsOrigins: readonly string[];
}

/** Without a token an address that other machines reach is a problem. */
export function readFrontDoor(read: EnvironmentReader): FrontDoor {
  const apiTokens = read.list("CARILLON_API_TOKENS");
  const address = (name: "CARILLON_HTTP_ADDR" | "CARILLON_GRPC_ADDR", fallback: string) => {
    const asked = read.address(name, fallback);
    if (apiTokens.length === 0 && !isLoopback(asked.host)) {
      read.problem(
        `${name}: ${formatAddress(asked)} can be reached from other machines; ` +
          "set CARILLON_API_TOKENS, or listen on 127.0.0.1",
      );
    }
    return asked;
  };
  return {
    httpAddress: address("CARILLON_HTTP_ADDR", "127.0.0.1:8080"),
    grpcAddress: address("CARILLON_GRPC_ADDR", "127.0.0.1:9090"),
    apiTokens,
    corsOrigins: readCorsOrigins(read),
  };
}

function readCorsOrigins(read: EnvironmentReader): string[] {
  const name = "CARILLON_CORS_ORIGINS";
  const origins = read.list(name);
  for (const origin of origins) {
    if (origin === "*") {
      if (origins.length > 1) read.problem(`${name}: * lets in every page, and stands alone`);
    } else if (!isOrigin(origin)) {
      read.problem(`${name}: expected origins as browsers send them, like https://app.example.com, got "${origin}"`);
    }
  }
  return origins;
}

/** Compared letter by letter with what a browser says: no path, no slash at the end, no capitals, no default port. */
function isOrigin(text: string): boolean {
  if (!/^https?:[^*]+$/.test(text) || !URL.canParse(text)) return false;
  return new URL(text).origin === text;
}
