import { hostname } from "node:os";
import { type CommonSettings, readCommonSettings } from "../platform/process/common-settings.ts";
import { type Address, type Environment, readEnvironment } from "../platform/process/environment.ts";

export interface TickerConfig extends CommonSettings {
  /** Names this ticker in claims and ticks: the same over restarts, different for each ticker of a cluster. */
  tickerId: string;
  /** Health and reflection. */
  grpcAddress: Address;
}

// It becomes one token of a NATS subject.
const idPattern = /^[A-Za-z0-9_-]{1,64}$/;

/** Throws ConfigError with everything that is wrong. */
export function readTickerConfig(env: Environment): TickerConfig {
  const read = readEnvironment(env);
  // A host name may have dots, which part the tokens of a subject.
  const fallbackId = hostname()
    .replaceAll(/[^A-Za-z0-9_-]/g, "-")
    .slice(0, 64);
  const config: TickerConfig = {
    ...readCommonSettings(read, { opsPort: 9191 }),
    tickerId: read.text("CARILLON_TICKER_ID", fallbackId || "ticker"),
    grpcAddress: read.address("CARILLON_TICKER_GRPC_ADDR", "127.0.0.1:9091"),
  };
  if (!idPattern.test(config.tickerId)) {
    read.problem(`CARILLON_TICKER_ID: expected 1 to 64 letters, digits, "_" or "-", got "${config.tickerId}"`);
  }
  read.done();
  return config;
}
