import { type Address, formatAddress } from "../platform/process/environment.ts";
import { type Addresses, serviceNames } from "./children/services.ts";

export interface BannerFacts {
  addresses: Addresses;
  dataDir: string;
  /** Whether the front door asks for a bearer token. */
  guarded: boolean;
}

/** What a newcomer needs after the start: where everything is, and three lines to paste. */
export function banner({ addresses, dataDir, guarded }: BannerFacts): string {
  const http = `http://${reachable(addresses.http)}`;
  const grpc = reachable(addresses.grpc.registry);
  const token = guarded ? ` -H "authorization: Bearer $TOKEN"` : "";
  // Something that answers on every machine: the front door itself.
  const call = `"api_endpoint":"${http}/healthz","http":{"method":"GET"}`;
  const job = `{"schedule":"* * * * * *","type":"ATLEAST_ONCE",${call}}`;
  const health = serviceNames.map((name) => `${name} ${formatAddress(addresses.grpc[name])}`);
  return [
    "",
    "Carillon is running.",
    "",
    `  REST, Connect   ${http}`,
    `  API docs        ${http}/docs`,
    `  gRPC            ${grpc}`,
    `  health (gRPC)   ${health.join(", ")}`,
    `  NATS            ${addresses.natsUrl}`,
    `  data            ${dataDir}`,
    "",
    "Create a job that fires each second, read its executions, list the gRPC services:",
    "",
    `  JOB=$(curl -s ${http}/jobs${token} -H 'content-type: application/json' -d '${job}' | grep -oE '[0-9a-f-]{36}' | head -1); echo $JOB`,
    `  curl -s ${http}/jobs/$JOB/executions${token}`,
    `  grpcurl -plaintext${token} ${grpc} list`,
    "",
    "Ctrl-C stops everything in order.",
    "",
  ].join("\n");
}

/** An address to connect to: one that stands for all interfaces is reached through the loopback. */
function reachable(address: Address): string {
  const host = address.host === "0.0.0.0" || address.host === "::" ? "127.0.0.1" : address.host;
  return formatAddress({ ...address, host });
}
