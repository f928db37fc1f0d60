import { type Address, type Environment, readEnvironment } from "../platform/process/config.ts";

export interface ExecutorConfig {
  natsUrl: string;
  logLevel: string;
  /** Names this executor in the broker, in the log and in message ids. */
  executorId: string;
  /** Its own gRPC port, for health. */
  grpcAddress: Address;
  /** Its own HTTP port for /metrics, /healthz and /readyz. */
  opsAddress: Address;
  /** Where history answers. */
  historyAddress: Address;
  /** Sent to history. */
  internalToken: string | undefined;
  replicas: number;
}

/** Throws ConfigError with everything that is wrong. */
export function readConfig(env: Environment, process: { hostname: string; pid: number }): ExecutorConfig {
  const read = readEnvironment(env);
  const config: ExecutorConfig = {
    natsUrl: read.natsUrl() ?? "nats://127.0.0.1:4222",
    logLevel: read.logLevel(),
    executorId: read.text("CARILLON_EXECUTOR_ID", `${process.hostname}-${process.pid}`),
    grpcAddress: read.address("CARILLON_EXECUTOR_GRPC_ADDR", "127.0.0.1:9092"),
    opsAddress: read.address("CARILLON_OPS_ADDR", "127.0.0.1:9192"),
    historyAddress: read.address("CARILLON_HISTORY_ADDR", "127.0.0.1:9093"),
    internalToken: read.optional("CARILLON_INTERNAL_TOKEN"),
    replicas: read.integer("CARILLON_REPLICAS", 1, 1, 5),
  };
  read.done();
  return config;
}
