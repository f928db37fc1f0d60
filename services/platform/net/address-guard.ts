import { BlockList, isIP, type LookupFunction } from "node:net";
import { NameError, type NameResolver } from "./name-resolver.ts";

/** The target is at an address that no job may call. */
export class RefusedAddressError extends Error {
  constructor(address: string) {
    super(`calls to ${address} are not allowed: it is a link-local or metadata address`);
    this.name = "RefusedAddressError";
  }
}

// Where clouds keep credentials of the machine, and link-local networks. A
// BlockList also finds an IPv4 address inside ::ffff:0:0/96.
const refused = new BlockList();
refused.addSubnet("169.254.0.0", 16, "ipv4");
refused.addSubnet("fe80::", 10, "ipv6");
// AWS instance and container metadata.
refused.addSubnet("fd00:ec2::", 64, "ipv6");
// Google Cloud's metadata server.
refused.addAddress("fd20:ce::254", "ipv6");
// Alibaba Cloud's and Oracle Cloud's.
refused.addAddress("100.100.100.200", "ipv4");
refused.addAddress("192.0.0.192", "ipv4");
// 169.254.0.0/16 through NAT64 (RFC 6052).
refused.addSubnet("64:ff9b::a9fe:0", 112, "ipv6");

export function isRefusedAddress(address: string): boolean {
  const family = isIP(address);
  return family !== 0 && refused.check(address, family === 4 ? "ipv4" : "ipv6");
}

/**
 * Resolves a name for a connection that is about to be made, and refuses the
 * name when any of its addresses is refused. Checked here, and not when a job
 * is created, a name cannot be pointed elsewhere in between (DNS rebinding).
 */
export function createGuardedLookup(resolver: NameResolver): LookupFunction {
  return (hostname, options, callback) => {
    const wanted = options.family === 4 || options.family === 6 ? options.family : undefined;
    resolver.resolve(hostname).then(
      (all) => {
        const bad = all.find(({ address }) => isRefusedAddress(address));
        if (bad) return callback(new RefusedAddressError(`${hostname} (${bad.address})`), "");
        const addresses = wanted === undefined ? [...all] : all.filter(({ family }) => family === wanted);
        const [first] = addresses;
        if (!first) return callback(new NameError(hostname, "NOT_FOUND", `no IPv${wanted} address`), "");
        if (options.all) return callback(null, addresses);
        callback(null, first.address, first.family);
      },
      (error) => callback(error, ""),
    );
  };
}
