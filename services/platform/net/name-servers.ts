import type { LookupAddress } from "node:dns";
import { Resolver } from "node:dns/promises";
import { type Clock, sleep } from "../process/clock.ts";
import { parseHosts } from "./hosts-file.ts";
import { candidatesOf, parseResolvConf } from "./resolv-conf.ts";
import { createWatchedFile } from "./watched-file.ts";

/** What name servers say of a name. */
export type ServerAnswer =
  | { kind: "addresses"; addresses: readonly LookupAddress[]; ttlSeconds: number }
  /** It does not exist, or has no address. */
  | { kind: "none"; code: string }
  /** None of them answered, or none could. */
  | { kind: "silent"; code: string };

/** Where names are asked for. Neither method rejects, and neither takes a thread of the process while it waits. */
export interface NameServers {
  /** What this machine itself says of a name in lower case: /etc/hosts and localhost. */
  local(name: string): Promise<readonly LookupAddress[]>;
  ask(name: string): Promise<ServerAnswer>;
}

export interface NameServersOptions {
  /** Addresses, with a port where it is not 53; those in resolv.conf when left out. */
  servers?: readonly string[];
  hostsPath?: string;
  resolvConfPath?: string;
  /** Of the first try; the second waits twice as long. */
  timeoutMs?: number;
}

const defaultTimeoutMs = 1_500;
const tries = 2;
// A target that has an IPv4 address waits no longer for news of others (RFC 8305, section 3).
const otherFamilyWithinMs = 50;
// The resolver says so where a name cannot be, or there is nothing of the kind.
const noneCodes: ReadonlySet<string> = new Set(["ENOTFOUND", "ENODATA", "EBADNAME", "EBADQUERY", "ENONAME"]);
// RFC 6761, section 6.3.
const loopback: readonly LookupAddress[] = [
  { address: "127.0.0.1", family: 4 },
  { address: "::1", family: 6 },
];

interface Records {
  addresses: LookupAddress[];
  ttlSeconds: number;
  code: string;
}

export function createNameServers(deps: { clock: Clock }, options: NameServersOptions = {}): NameServers {
  const { clock } = deps;
  const hosts = createWatchedFile(options.hostsPath ?? "/etc/hosts", parseHosts, clock);
  const resolvConf = createWatchedFile(options.resolvConfPath ?? "/etc/resolv.conf", parseResolvConf, clock);
  let resolver: Resolver | undefined;
  let askedServers = "";

  /** A resolver's servers may not change while it is asked: others get one of their own. */
  const resolverOf = (servers: readonly string[]): Resolver => {
    const wanted = servers.join(" ");
    if (!resolver || wanted !== askedServers) {
      resolver = new Resolver({ timeout: options.timeoutMs ?? defaultTimeoutMs, tries });
      if (servers.length > 0) resolver.setServers(servers);
      askedServers = wanted;
    }
    return resolver;
  };

  const query = async (from: Resolver, name: string, family: 4 | 6): Promise<Records> => {
    try {
      const records = await (family === 4 ? from.resolve4(name, { ttl: true }) : from.resolve6(name, { ttl: true }));
      const ttlSeconds = Math.min(...records.map(({ ttl }) => ttl));
      return { addresses: records.map(({ address }) => ({ address, family })), ttlSeconds, code: "ENODATA" };
    } catch (error) {
      return { addresses: [], ttlSeconds: 0, code: (error as NodeJS.ErrnoException).code ?? String(error) };
    }
  };

  /** As far as it is waited for. */
  const otherFamily = (first: Records, v6: Promise<Records>, enough: AbortSignal) => {
    if (first.addresses.length > 0) return Promise.race([v6, sleep(clock, otherFamilyWithinMs, enough)]);
    // A name that does not exist has no records of another kind either.
    return first.code === "ENOTFOUND" ? undefined : v6;
  };

  const askOne = async (from: Resolver, name: string): Promise<ServerAnswer> => {
    const v4 = query(from, name, 4);
    const v6 = query(from, name, 6);
    const first = await v4;
    const enough = new AbortController();
    const second = await otherFamily(first, v6, enough.signal);
    enough.abort();
    const found = [first, second].filter((one) => one !== undefined && one.addresses.length > 0) as Records[];
    if (found.length > 0) {
      const addresses = found.flatMap((one) => one.addresses);
      return { kind: "addresses", addresses, ttlSeconds: Math.min(...found.map((one) => one.ttlSeconds)) };
    }
    const codes = second ? [first.code, second.code] : [first.code];
    const silent = codes.find((code) => !noneCodes.has(code));
    return silent === undefined ? { kind: "none", code: first.code } : { kind: "silent", code: silent };
  };

  return {
    async local(name) {
      const whole = name.replace(/\.$/, "");
      const own = (await hosts.read()).get(whole);
      if (own) return own;
      return whole === "localhost" || whole.endsWith(".localhost") ? loopback : [];
    },
    async ask(name) {
      // RFC 6761, section 6.4: nobody has to be asked.
      if (/(^|\.)invalid\.?$/.test(name)) return { kind: "none", code: "ENOTFOUND" };
      const conf = await resolvConf.read();
      const from = resolverOf(options.servers ?? conf.servers);
      let answer: ServerAnswer = { kind: "none", code: "ENOTFOUND" };
      for (const candidate of candidatesOf(name, conf)) {
        answer = await askOne(from, candidate);
        // Who does not answer for one candidate is not asked for the next: the name is in doubt in any case.
        if (answer.kind !== "none") return answer;
      }
      return answer;
    },
  };
}
