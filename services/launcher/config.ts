import { resolve } from "node:path";
import {
  readBrokerMaxBytes,
  readDataDir,
  readFrontDoor,
  readHistoryBounds,
  readInternalToken,
  readNameServers,
  readReplicas,
} from "../platform/process/common-settings.ts";
import {
  type Address,
  type Environment,
  nearest,
  readEnvironment,
  type VariableName,
} from "../platform/process/environment.ts";
import type { LogFormat, LogLevel } from "../platform/process/log.ts";
import { type ServiceName, serviceNames } from "./children/services.ts";
import { userCacheDir } from "./nats/nats-server-cache.ts";

export interface LauncherConfig {
  /** Absolute. */
  dataDir: string;
  logLevel: LogLevel;
  logFormat: LogFormat;
  /** The front door; port 0 asks for any free one. */
  http: Address;
  grpc: Address;
  /** gRPC ports of services that the environment pins down; the others are picked. */
  pinned: { ticker?: Address; executor?: Address; history?: Address };
  /** Services that somebody starts by hand, in a debugger say: the launcher waits for them. */
  external: ReadonlySet<ServiceName>;
  /** A broker that runs already; without one the launcher starts its own. */
  natsUrl: string | undefined;
  /** What all streams together may take; undefined: what the disk can give. */
  brokerMaxBytes: number | undefined;
  /** Where to look for nats-server. */
  searchPath: string;
  /** Where a fetched one is kept, for all data folders; undefined: the user has no such place. */
  cacheDir: string | undefined;
  /** What each child inherits. */
  inherited: Environment;
  /** Whether the front door asks for a bearer token. */
  guarded: boolean;
  /** Whether the services need a token among themselves that nobody has set: the front door asks for one. */
  needsInternalToken: boolean;
}

// The launcher gives these to each service itself; a value from outside would be lost.
const ownVariables = ["CARILLON_OPS_ADDR", "CARILLON_HISTORY_ADDR", "CARILLON_METRICS_PEERS"] as const;

/** Throws ConfigError with everything that is wrong. */
export function readLauncherConfig(env: Environment, cwd: string): LauncherConfig {
  const read = readEnvironment(env);
  const pinned = (name: VariableName) => (read.optional(name) === undefined ? undefined : read.address(name, ""));
  const ticker = pinned("CARILLON_TICKER_GRPC_ADDR");
  const executor = pinned("CARILLON_EXECUTOR_GRPC_ADDR");
  const history = pinned("CARILLON_HISTORY_GRPC_ADDR");
  const { httpAddress, grpcAddress, apiTokens } = readFrontDoor(read);
  const guarded = apiTokens.length > 0;
  const external = read.list("CARILLON_EXTERNAL");
  const config: LauncherConfig = {
    dataDir: resolve(cwd, readDataDir(read)),
    logLevel: read.logLevel(),
    logFormat: read.logFormat(),
    http: httpAddress,
    grpc: grpcAddress,
    pinned: { ...(ticker && { ticker }), ...(executor && { executor }), ...(history && { history }) },
    external: new Set(serviceNames.filter((name) => external.includes(name))),
    natsUrl: read.natsUrl(),
    brokerMaxBytes: readBrokerMaxBytes(read),
    searchPath: env.PATH ?? "",
    cacheDir: userCacheDir(env),
    inherited: env,
    guarded,
    needsInternalToken: guarded && readInternalToken(read) === undefined,
  };
  for (const name of external) {
    if (serviceNames.some((known) => known === name)) continue;
    const near = nearest(name, serviceNames);
    read.problem(`CARILLON_EXTERNAL: there is no service "${name}"${near ? `; did you mean ${near}?` : ""}`);
  }
  for (const name of ownVariables) {
    if (read.optional(name) !== undefined) {
      read.problem(`${name}: the launcher sets it for each service; leave it out here`);
    }
  }
  const replicas = readReplicas(read);
  if (replicas > 1 && config.natsUrl === undefined) {
    read.problem(`CARILLON_REPLICAS: ${replicas} copies need a NATS cluster; name it in NATS_URL`);
  }
  // Services read these; here they are looked at for the sake of telling all that is wrong before anything is started.
  readHistoryBounds(read);
  readNameServers(read);
  read.done();
  return config;
}
