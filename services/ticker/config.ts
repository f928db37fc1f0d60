import { hostname } from "node:os";
import { type Address, type Environment, readEnvironment } from "../platform/process/config.ts";
import type { logLevels } from "../platform/process/log.ts";

export interface TickerConfig {
  natsUrl: string;
  replicas: number;
  /** Names this ticker in claims and ticks: the same over restarts, different for each ticker of a cluster. */
  tickerId: string;
  /** Health and reflection. */
  grpcAddress: Address;
  opsAddress: Address;
  logLevel: (typeof logLevels)[number];
}

// It becomes one token of a NATS subject.
const idPattern = /^[A-Za-z0-9_-]{1,64}$/;

/** Throws ConfigError with all that is wrong. */
export function readTickerConfig(environment: Environment): TickerConfig {
  const env = readEnvironment(environment);
  // A host name may have dots, which part the tokens of a subject.
  const fallbackId = hostname()
    .replaceAll(/[^A-Za-z0-9_-]/g, "-")
    .slice(0, 64);
  const config: TickerConfig = {
    natsUrl: env.natsUrl() ?? "nats://127.0.0.1:4222",
    replicas: env.integer("CARILLON_REPLICAS", 1, 1, 5),
    tickerId: env.text("CARILLON_TICKER_ID", fallbackId || "ticker"),
    grpcAddress: env.address("CARILLON_TICKER_GRPC_ADDR", "127.0.0.1:9091"),
    opsAddress: env.address("CARILLON_OPS_ADDR", "127.0.0.1:9191"),
    logLevel: env.logLevel(),
  };
  if (!idPattern.test(config.tickerId)) {
    env.problem(`CARILLON_TICKER_ID: expected 1 to 64 letters, digits, "_" or "-", got "${config.tickerId}"`);
  }
  env.done();
  return config;
}
