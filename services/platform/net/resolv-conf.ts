import { isIP } from "node:net";

/** What resolv.conf(5) says about where and how names are asked for. */
export interface ResolverConfig {
  /** As `Resolver.setServers` takes them. */
  servers: readonly string[];
  /** Domains that a name with few dots is tried in. */
  search: readonly string[];
  /** With so many dots a name is tried as it stands before it is tried in the domains. */
  ndots: number;
}

// resolv.conf(5): 1 by default, 15 at most; that many servers and domains count.
const defaultNdots = 1;
const mostNdots = 15;
const mostServers = 3;
const mostDomains = 32;
const mostPort = 65_535;

export function parseResolvConf(text: string): ResolverConfig {
  const servers: string[] = [];
  let search: string[] = [];
  let ndots = defaultNdots;
  for (const line of text.split("\n")) {
    const [keyword = "", ...values] = line
      .replace(/[#;].*$/, "")
      .trim()
      .split(/\s+/);
    if (keyword === "nameserver") {
      if (isNameServer(values[0] ?? "")) servers.push(values[0] ?? "");
    } else if (keyword === "search" || keyword === "domain") {
      // The last line of either counts.
      search = values.map((domain) => domain.replace(/\.+$/, "").toLowerCase()).filter((domain) => domain !== "");
    } else if (keyword === "options") {
      for (const option of values) {
        const given = /^ndots:(\d+)$/.exec(option);
        if (given) ndots = Math.min(Number(given[1]), mostNdots);
      }
    }
  }
  return { servers: servers.slice(0, mostServers), search: search.slice(0, mostDomains), ndots };
}

/** An address, of a link-local server with its interface; with a port, as c-ares reads it: 10.0.0.1:53, [::1]:53. */
export function isNameServer(text: string): boolean {
  const [, address = text, port] = /^\[(.+)\](?::(\d+))?$/.exec(text) ?? /^([\d.]+):(\d+)$/.exec(text) ?? [];
  // c-ares takes any number, and each look-up fails.
  const portStands = port === undefined || (Number(port) >= 1 && Number(port) <= mostPort);
  return portStands && isIP(address.replace(/%.+$/, "")) !== 0;
}

/** The full names that may be meant by a name, in the order in which they are asked for. */
export function candidatesOf(name: string, { search, ndots }: Pick<ResolverConfig, "search" | "ndots">): string[] {
  // A dot at the end says that the name is whole.
  if (name.endsWith(".")) return [name.slice(0, -1)];
  const within = search.map((domain) => `${name}.${domain}`);
  const dots = name.split(".").length - 1;
  return dots >= ndots ? [name, ...within] : [...within, name];
}
