import { hostname } from "node:os";
import {
  type CommonSettings,
  type HistoryAccess,
  readCommonSettings,
  readHistoryAccess,
  readNameServers,
} from "../platform/process/common-settings.ts";
import { type Address, type Environment, readEnvironment } from "../platform/process/environment.ts";

export interface ExecutorConfig extends CommonSettings, HistoryAccess {
  /** Names this executor in the broker, in the log and in message ids. */
  executorId: string;
  /** How long history may take to say what it knows; then nothing counts as recorded. */
  historyTimeoutMs: number;
  /** Asked for the names of targets, instead of those in resolv.conf; empty: those. */
  nameServers: readonly string[];
  /** Health and reflection. */
  grpcAddress: Address;
}

// A due batch comes 0.7 s before its second: at worst its occurrences are 0.3 s late for the sake of this.
const historyTimeoutMs = 1_000;

/** Throws ConfigError with everything that is wrong. */
export function readExecutorConfig(env: Environment): ExecutorConfig {
  const read = readEnvironment(env);
  const config: ExecutorConfig = {
    ...readCommonSettings(read, { opsPort: 9192 }),
    ...readHistoryAccess(read),
    historyTimeoutMs,
    nameServers: readNameServers(read),
    executorId: read.text("CARILLON_EXECUTOR_ID", `${hostname()}-${process.pid}`),
    grpcAddress: read.address("CARILLON_EXECUTOR_GRPC_ADDR", "127.0.0.1:9092"),
  };
  read.done();
  return config;
}
