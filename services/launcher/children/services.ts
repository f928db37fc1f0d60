import { resolve } from "node:path";
import { type Address, type Environment, formatAddress } from "../../platform/process/environment.ts";

export const serviceNames = ["registry", "ticker", "executor", "history"] as const;
export type ServiceName = (typeof serviceNames)[number];

/** Intake first, then what is in flight, then what records it; the front door answers queries to the last. */
export const stopOrder: readonly ServiceName[] = ["ticker", "executor", "history", "registry"];

/** Where everything of one instance listens. */
export interface Addresses {
  http: Address;
  natsUrl: string;
  /** Each service's gRPC port; the registry's is the front door. */
  grpc: Readonly<Record<ServiceName, Address>>;
  /** Each service's port for operators. */
  ops: Readonly<Record<ServiceName, Address>>;
}

export function mainFile(name: ServiceName): string {
  return resolve(import.meta.dirname, "../..", name, "main.ts");
}

/** The services ignore this argument: it tells in the process list which instance a process belongs to. */
export function instanceMark(dataDir: string): string {
  return `--of=${dataDir}`;
}

/** The environment of one service: what the launcher inherited, and the places it picked. */
export function serviceEnvironment(
  name: ServiceName,
  inherited: Environment,
  dataDir: string,
  addresses: Addresses,
  made: {
    internalToken: string | undefined;
    /** What the streams of a broker that was started here may take. */
    brokerMaxBytes: number | undefined;
  },
): Environment {
  const { grpc, ops } = addresses;
  return {
    ...inherited,
    ...(made.internalToken !== undefined && { CARILLON_INTERNAL_TOKEN: made.internalToken }),
    ...(made.brokerMaxBytes !== undefined && { CARILLON_BROKER_MAX_BYTES: String(made.brokerMaxBytes) }),
    NATS_URL: addresses.natsUrl,
    CARILLON_DATA_DIR: dataDir,
    CARILLON_HTTP_ADDR: formatAddress(addresses.http),
    CARILLON_GRPC_ADDR: formatAddress(grpc.registry),
    CARILLON_TICKER_GRPC_ADDR: formatAddress(grpc.ticker),
    CARILLON_EXECUTOR_GRPC_ADDR: formatAddress(grpc.executor),
    CARILLON_HISTORY_GRPC_ADDR: formatAddress(grpc.history),
    CARILLON_HISTORY_ADDR: formatAddress(grpc.history),
    CARILLON_OPS_ADDR: formatAddress(ops[name]),
    CARILLON_METRICS_PEERS: serviceNames
      .filter((peer) => peer !== "registry")
      .map((peer) => formatAddress(ops[peer]))
      .join(","),
  };
}
