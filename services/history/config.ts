import { join } from "node:path";
import {
  type CommonSettings,
  readCommonSettings,
  readDataDir,
  readInternalToken,
} from "../platform/process/common-settings.ts";
import { type Address, type Environment, isLoopback, readEnvironment } from "../platform/process/environment.ts";

export interface HistoryConfig extends CommonSettings {
  /** Where the database is. */
  folder: string;
  /** ExecutionService, HistoryService, health and reflection. */
  grpcAddress: Address;
  /** What is older is forgotten. */
  retentionSeconds: number;
  /** What history may take of its disk; undefined: as much as there is. */
  maxBytes: number | undefined;
  /** The bearer token that callers must show; undefined: none is asked for. */
  internalToken: string | undefined;
}

const leastRetention = "1m";
// Below this a commit or two fill the write-ahead log.
const leastBytes = "16MB";

/** Throws ConfigError with everything that is wrong. */
export function readHistoryConfig(env: Environment): HistoryConfig {
  const read = readEnvironment(env);
  const config: HistoryConfig = {
    ...readCommonSettings(read, { opsPort: 9193 }),
    folder: join(readDataDir(read), "history"),
    grpcAddress: read.address("CARILLON_HISTORY_GRPC_ADDR", "127.0.0.1:9093"),
    retentionSeconds: read.durationSeconds("CARILLON_HISTORY_RETENTION", "30d", leastRetention),
    maxBytes: read.bytes("CARILLON_HISTORY_MAX_BYTES", leastBytes),
    internalToken: readInternalToken(read),
  };
  if (!isLoopback(config.grpcAddress.host) && config.internalToken === undefined) {
    read.problem("CARILLON_INTERNAL_TOKEN: needed when CARILLON_HISTORY_GRPC_ADDR is not a loopback address");
  }
  read.done();
  return config;
}
