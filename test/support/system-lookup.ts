import type { LookupFunction } from "node:net";
import { createGuardedLookup } from "../../services/platform/net/address-guard.ts";
import { createNameResolver } from "../../services/platform/net/name-resolver.ts";
import { createNameServers } from "../../services/platform/net/name-servers.ts";
import { systemClock } from "../../services/platform/process/clock.ts";

const deps = { clock: systemClock };

/** Finds names as this machine does. */
export function systemLookup(): LookupFunction {
  return createGuardedLookup(createNameResolver(createNameServers(deps), deps));
}
