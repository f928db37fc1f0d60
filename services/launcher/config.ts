import { resolve } from "node:path";
import {
  type Address,
  type Environment,
  isLoopback,
  readEnvironment,
  type VariableName,
} from "../platform/process/config.ts";

export interface LauncherConfig {
  /** Absolute. */
  dataDir: string;
  logLevel: string;
  /** The front door; port 0 asks for any free one. */
  http: Address;
  grpc: Address;
  /** gRPC ports of services that the environment pins down; the others are picked. */
  pinned: { ticker?: Address; executor?: Address; history?: Address };
  /** A broker that runs already; without one the launcher starts its own. */
  natsUrl: string | undefined;
  /** Where to look for nats-server. */
  searchPath: string;
  /** What each child inherits. */
  inherited: Environment;
  /** Whether the services need a token among themselves that nobody has set: the front door asks for one. */
  needsInternalToken: boolean;
}

// The launcher gives these to each service itself; a value from outside would be lost.
const ownVariables = ["CARILLON_OPS_ADDR", "CARILLON_HISTORY_ADDR", "CARILLON_METRICS_PEERS"] as const;

/** Throws ConfigError with all that is wrong. */
export function readLauncherConfig(env: Environment, cwd: string): LauncherConfig {
  const read = readEnvironment(env);
  const pinned = (name: VariableName) => (read.optional(name) === undefined ? undefined : read.address(name, ""));
  const ticker = pinned("CARILLON_TICKER_GRPC_ADDR");
  const executor = pinned("CARILLON_EXECUTOR_GRPC_ADDR");
  const history = pinned("CARILLON_HISTORY_GRPC_ADDR");
  const tokens = read.list("CARILLON_API_TOKENS");
  const config: LauncherConfig = {
    dataDir: resolve(cwd, read.text("CARILLON_DATA_DIR", ".carillon")),
    logLevel: read.logLevel(),
    http: read.address("CARILLON_HTTP_ADDR", "127.0.0.1:8080"),
    grpc: read.address("CARILLON_GRPC_ADDR", "127.0.0.1:9090"),
    pinned: { ...(ticker && { ticker }), ...(executor && { executor }), ...(history && { history }) },
    natsUrl: read.natsUrl(),
    searchPath: env.PATH ?? "",
    inherited: env,
    needsInternalToken: tokens.length > 0 && read.optional("CARILLON_INTERNAL_TOKEN") === undefined,
  };
  for (const [name, address] of [
    ["CARILLON_HTTP_ADDR", config.http],
    ["CARILLON_GRPC_ADDR", config.grpc],
  ] as const) {
    if (tokens.length === 0 && !isLoopback(address.host)) {
      read.problem(`${name}: ${address.host} is beyond this machine; set CARILLON_API_TOKENS to listen there`);
    }
  }
  for (const name of ownVariables) {
    if (read.optional(name) !== undefined) {
      read.problem(`${name}: the launcher sets it for each service; leave it out here`);
    }
  }
  const replicas = read.integer("CARILLON_REPLICAS", 1, 1, 5);
  if (replicas > 1 && config.natsUrl === undefined) {
    read.problem(`CARILLON_REPLICAS: ${replicas} copies need a NATS cluster; name it in NATS_URL`);
  }
  read.done();
  return config;
}
