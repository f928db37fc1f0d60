import { type Address, formatAddress } from "../../platform/process/environment.ts";
import type { LauncherConfig } from "../config.ts";
import { isFree, type PortBlock, reservePorts } from "./ports.ts";
import type { Addresses } from "./services.ts";

/** Everything that an instance listens on, decided before anything starts. */
export interface AddressPlan {
  addresses: Addresses;
  /** Where to start a broker; undefined when one was named. */
  nats: (Address & { monitorPort: number }) | undefined;
  block: PortBlock;
}

const loopback = "127.0.0.1";

/** Throws, naming variable and port, when an address that was asked for is taken. */
export async function planAddresses(config: LauncherConfig): Promise<AddressPlan> {
  const asked: readonly (readonly [string, Address | undefined])[] = [
    ["CARILLON_HTTP_ADDR", config.http],
    ["CARILLON_GRPC_ADDR", config.grpc],
    ["CARILLON_TICKER_GRPC_ADDR", config.pinned.ticker],
    ["CARILLON_EXECUTOR_GRPC_ADDR", config.pinned.executor],
    ["CARILLON_HISTORY_GRPC_ADDR", config.pinned.history],
  ];
  const problems: string[] = [];
  const fixed = new Map<number, string>();
  for (const [variable, address] of asked) {
    if (!address || address.port === 0) continue;
    const other = fixed.get(address.port);
    if (other) problems.push(`${variable}: ${other} has port ${address.port} already`);
    else if (!(await isFree(address.host, address.port))) {
      problems.push(
        `${variable}: port ${address.port} on ${address.host} is taken by another process, or not ours to use`,
      );
    }
    fixed.set(address.port, variable);
  }
  if (problems.length > 0) {
    throw new Error(`cannot listen:\n${problems.map((line) => `  ${line}`).join("\n")}\n  choose other addresses.`);
  }

  const block = await reservePorts(config.dataDir, new Set(fixed.keys()));
  const concrete = (address: Address | undefined): Address =>
    address && address.port !== 0 ? address : { host: address?.host ?? loopback, port: block.take() };
  const picked = () => concrete(undefined);
  // Always in this order: an instance then gives each of them the same port at each start.
  const broker = config.natsUrl === undefined ? picked() : undefined;
  const ops = { registry: picked(), ticker: picked(), executor: picked(), history: picked() };
  const grpc = {
    registry: concrete(config.grpc),
    ticker: concrete(config.pinned.ticker),
    executor: concrete(config.pinned.executor),
    history: concrete(config.pinned.history),
  };
  const natsUrl = broker ? `nats://${formatAddress(broker)}` : (config.natsUrl ?? "");
  const addresses = { http: concrete(config.http), natsUrl, grpc, ops };
  return { addresses, nats: broker && { ...broker, monitorPort: block.take() }, block };
}
