import {
  type CommonSettings,
  type FrontDoor,
  type HistoryAccess,
  readCommonSettings,
  readDataDir,
  readFrontDoor,
  readHistoryAccess,
} from "../platform/process/common-settings.ts";
import { type Address, type Environment, parseAddress, readEnvironment } from "../platform/process/environment.ts";

export interface RegistryConfig extends CommonSettings, FrontDoor, HistoryAccess {
  dataDir: string;
  /** Where the other services serve their /metrics. */
  metricsPeers: readonly Address[];
}

/** Throws ConfigError with everything that is wrong. */
export function readRegistryConfig(env: Environment): RegistryConfig {
  const read = readEnvironment(env);
  const config: RegistryConfig = {
    ...readCommonSettings(read, { opsPort: 9190 }),
    ...readFrontDoor(read),
    ...readHistoryAccess(read),
    dataDir: readDataDir(read),
    metricsPeers: read.list("CARILLON_METRICS_PEERS").flatMap((text) => {
      const address = parseAddress(text);
      if (address && address.port > 0) return [address];
      read.problem(`CARILLON_METRICS_PEERS: expected host:port, got "${text}"`);
      return [];
    }),
  };
  read.done();
  return config;
}
