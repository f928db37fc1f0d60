import { type Address, formatAddress } from "../../platform/process/environment.ts";
import type { LauncherConfig } from "../config.ts";
import { portHolder } from "./port-holder.ts";
import { type PortBlock, reservePorts, whyNotFree } from "./ports.ts";
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
    if (other) problems.push(`${variable}: ${other} has port ${address.port} already: give each its own.`);
    else {
      const problem = await whyNotFree(address.host, address.port);
      if (problem !== undefined) problems.push(await portComplaint(variable, address, problem));
    }
    fixed.set(address.port, variable);
  }
  if (problems.length > 0) {
    throw new Error(problems.join("\n"));
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

/** What is in the way of listening there, and what to do about it, in one sentence. */
async function portComplaint(variable: string, { host, port }: Address, code: string): Promise<string> {
  const elsewhere = `set ${variable} to another address, as ${formatAddress({ host, port: otherPort(port) })}`;
  switch (code) {
    case "EADDRINUSE": {
      const holder = await portHolder(port);
      return `${variable}: port ${port} on ${host} is taken by ${holder ?? "another process"}: stop that one, or ${elsewhere}.`;
    }
    case "EACCES":
      return `${variable}: port ${port} on ${host} is not for this user to take (${code}): ${elsewhere}.`;
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
      return `${variable}: ${host} is no address of this machine (${code}): set ${variable} to one that is, as ${formatAddress({ host: loopback, port })}.`;
    default:
      return `${variable}: port ${port} on ${host} cannot be listened on (${code}): ${elsewhere}.`;
  }
}

const firstUnprivilegedPort = 1_024;

function otherPort(port: number): number {
  return port < firstUnprivilegedPort || port === 65_535 ? 8_081 : port + 1;
}
