import { join } from "node:path";
import {
  type CommonSettings,
  type HistoryBounds,
  readCommonSettings,
  readDataDir,
  readHistoryBounds,
  readInternalToken,
} from "../platform/process/common-settings.ts";
import { type Address, type Environment, isLoopback, readEnvironment } from "../platform/process/environment.ts";

export interface HistoryConfig extends CommonSettings, HistoryBounds {
  /** Where the database is. */
  folder: string;
  /** ExecutionService, HistoryService, health and reflection. */
  grpcAddress: Address;
  /** The bearer token that callers must show; undefined: none is asked for. */
  internalToken: string | undefined;
}

/** Throws ConfigError with everything that is wrong. */
export function readHistoryConfig(env: Environment): HistoryConfig {
  const read = readEnvironment(env);
  const config: HistoryConfig = {
    ...readCommonSettings(read, { opsPort: 9193 }),
    folder: join(readDataDir(read), "history"),
    grpcAddress: read.address("CARILLON_HISTORY_GRPC_ADDR", "127.0.0.1:9093"),
    ...readHistoryBounds(read),
    internalToken: readInternalToken(read),
  };
  if (!isLoopback(config.grpcAddress.host) && config.internalToken === undefined) {
    read.problem("CARILLON_INTERNAL_TOKEN: needed when CARILLON_HISTORY_GRPC_ADDR is not a loopback address");
  }
  read.done();
  return config;
}
