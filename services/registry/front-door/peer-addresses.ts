import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import pLimit from "p-limit";
import { type Clock, sleep } from "../../platform/process/clock.ts";

export interface PeerAddressesDeps {
  clock: Clock;
  /** Default: the system's own, which knows /etc/hosts and the names of a container network. */
  resolve?: (host: string) => Promise<readonly string[]>;
}

// A container network answers within a millisecond.
const answerWithinMs = 500;
const maxAddresses = 64;

/**
 * All addresses of a name, as they are now: replicas come and go. Where nobody answers in time those of the last answer
 * stand; a name that is not there has none.
 *
 * getaddrinfo holds one of the process's four threads for as long as a name server is silent: one is asked at a time.
 */
export function createPeerAddresses({
  clock,
  resolve = systemAddresses,
}: PeerAddressesDeps): (host: string) => Promise<readonly string[]> {
  const oneAtATime = pLimit(1);
  const known = new Map<string, readonly string[]>();
  const asking = new Map<string, Promise<void>>();

  const ask = async (host: string) => {
    try {
      const addresses = await oneAtATime(() => resolve(host));
      known.set(host, [...new Set(addresses)].sort().slice(0, maxAddresses));
    } catch (error) {
      // Only who says that there is no such name takes back what was known.
      if ((error as NodeJS.ErrnoException).code === "ENOTFOUND") known.delete(host);
    } finally {
      asking.delete(host);
    }
  };

  return async (host) => {
    if (isIP(host)) return [host];
    const asked = asking.get(host) ?? ask(host);
    asking.set(host, asked);
    const answered = new AbortController();
    await Promise.race([asked, sleep(clock, answerWithinMs, answered.signal)]);
    answered.abort();
    return known.get(host) ?? [];
  };
}

/** Of one family: who has an address of each is one peer all the same. */
async function systemAddresses(host: string): Promise<readonly string[]> {
  const found = await lookup(host, { all: true });
  const family = found.some((one) => one.family === 4) ? 4 : 6;
  return found.filter((one) => one.family === family).map(({ address }) => address);
}
