import { join } from "node:path";
import { type Address, type Environment, isLoopback, readEnvironment } from "../platform/process/config.ts";
import type { logLevels } from "../platform/process/log.ts";

export interface HistoryConfig {
  natsUrl: string;
  replicas: number;
  /** Where the database is. */
  folder: string;
  /** ExecutionService, HistoryService, health and reflection. */
  grpcAddress: Address;
  opsAddress: Address;
  /** The bearer token that callers must show; undefined: none is asked for. */
  internalToken: string | undefined;
  logLevel: (typeof logLevels)[number];
}

/** Throws ConfigError with all that is wrong. */
export function readHistoryConfig(environment: Environment): HistoryConfig {
  const env = readEnvironment(environment);
  const config: HistoryConfig = {
    natsUrl: env.natsUrl() ?? "nats://127.0.0.1:4222",
    replicas: env.integer("CARILLON_REPLICAS", 1, 1, 5),
    folder: join(env.text("CARILLON_DATA_DIR", ".carillon"), "history"),
    grpcAddress: env.address("CARILLON_HISTORY_GRPC_ADDR", "127.0.0.1:9093"),
    opsAddress: env.address("CARILLON_OPS_ADDR", "127.0.0.1:9193"),
    internalToken: env.optional("CARILLON_INTERNAL_TOKEN"),
    logLevel: env.logLevel(),
  };
  if (!isLoopback(config.grpcAddress.host) && config.internalToken === undefined) {
    env.problem("CARILLON_INTERNAL_TOKEN: needed when CARILLON_HISTORY_GRPC_ADDR is not a loopback address");
  }
  env.done();
  return config;
}
