import {
  type Address,
  type Environment,
  formatAddress,
  isLoopback,
  parseAddress,
  readEnvironment,
} from "../platform/process/config.ts";

export interface RegistryConfig {
  natsUrl: string;
  dataDir: string;
  logLevel: string;
  httpAddress: Address;
  grpcAddress: Address;
  opsAddress: Address;
  historyAddress: Address;
  /** Bearer tokens of the front door; none: loopback only, and everybody there is let in. */
  apiTokens: readonly string[];
  /** For calls to history. */
  internalToken: string | undefined;
  /** host:port of other services' /metrics. */
  metricsPeers: readonly Address[];
  replicas: number;
}

/** Throws ConfigError with everything that is wrong. */
export function readRegistryConfig(env: Environment): RegistryConfig {
  const read = readEnvironment(env);
  const config: RegistryConfig = {
    natsUrl: read.natsUrl() ?? "nats://127.0.0.1:4222",
    dataDir: read.text("CARILLON_DATA_DIR", ".carillon"),
    logLevel: read.logLevel(),
    httpAddress: read.address("CARILLON_HTTP_ADDR", "127.0.0.1:8080"),
    grpcAddress: read.address("CARILLON_GRPC_ADDR", "127.0.0.1:9090"),
    opsAddress: read.address("CARILLON_OPS_ADDR", "127.0.0.1:9190"),
    historyAddress: read.address("CARILLON_HISTORY_ADDR", "127.0.0.1:9093"),
    apiTokens: read.list("CARILLON_API_TOKENS"),
    internalToken: read.optional("CARILLON_INTERNAL_TOKEN"),
    metricsPeers: read.list("CARILLON_METRICS_PEERS").flatMap((text) => {
      const address = parseAddress(text);
      if (address && address.port > 0) return [address];
      read.problem(`CARILLON_METRICS_PEERS: expected host:port, got "${text}"`);
      return [];
    }),
    replicas: read.integer("CARILLON_REPLICAS", 1, 1, 5),
  };
  if (config.apiTokens.length === 0) {
    for (const [name, address] of [
      ["CARILLON_HTTP_ADDR", config.httpAddress],
      ["CARILLON_GRPC_ADDR", config.grpcAddress],
    ] as const) {
      if (isLoopback(address.host)) continue;
      read.problem(
        `${name}: ${formatAddress(address)} can be reached from other machines; ` +
          "set CARILLON_API_TOKENS, or listen on 127.0.0.1",
      );
    }
  }
  read.done();
  return config;
}
