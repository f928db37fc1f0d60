import type { Registry } from "prom-client";
import { type Address, formatAddress } from "../../platform/process/environment.ts";

export interface MetricsPage {
  contentType: string;
  body: string;
}

/**
 * The metrics of this process and of its peers on one page; a peer that does not answer is told by carillon_peer_up.
 *
 * A peer's name may stand for several, as that of a service with replicas does: all of its addresses are asked, and each
 * has a `peer` of its own, so that no counter is once the one's and once the other's. A name that has no address is told of
 * as it was written.
 */
export interface MergedMetrics {
  metrics(): Promise<MetricsPage>;
}

export interface MergedMetricsOptions {
  peers: readonly Address[];
  /** Sent to the peers; undefined: they ask for none. */
  token: string | undefined;
  /** Of a host name, or of an address as it stands. Never rejects, and answers soon. */
  addressesOf: (host: string) => Promise<readonly string[]>;
}

// Prometheus gives a scrape 10 s; a peer that hangs must not cost it all.
const peerTimeoutMs = 1_000;
// Twenty times what a service has to tell.
const maxPeerBytes = 1024 * 1024;
const maxPeers = 256;

export function createMergedMetrics(own: Registry, { peers, token, addressesOf }: MergedMetricsOptions): MergedMetrics {
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const instances = async ({ host, port }: Address) => {
    const addresses = await addressesOf(host);
    const found = addresses.map((address) => ({ name: formatAddress({ host: address, port }), there: true }));
    return found.length > 0 ? found : [{ name: formatAddress({ host, port }), there: false }];
  };
  return {
    async metrics() {
      const all = (await Promise.all(peers.map(instances))).flat();
      const asked = [...new Map(all.map((one) => [one.name, one])).values()].slice(0, maxPeers);
      const pages = await Promise.all(
        asked.map(async ({ name, there }) => (there ? fetchPage(name, headers) : undefined)),
      );
      const up = asked.map(
        ({ name }, index) => `carillon_peer_up{peer="${name}"} ${pages[index] === undefined ? 0 : 1}`,
      );
      const about = ["# HELP carillon_peer_up Whether a service's /metrics answered", "# TYPE carillon_peer_up gauge"];
      const answered = asked.flatMap(({ name }, index) => {
        const page = pages[index];
        return page === undefined ? [] : [withLabel(page, "peer", name)];
      });
      const body = mergePages([
        await own.metrics(),
        ...answered,
        ...(up.length > 0 ? [[...about, ...up].join("\n")] : []),
      ]);
      return { contentType: own.contentType, body };
    },
  };
}

async function fetchPage(peer: string, headers: Record<string, string>): Promise<string | undefined> {
  try {
    const signal = AbortSignal.timeout(peerTimeoutMs);
    const response = await fetch(`http://${peer}/metrics`, { headers, signal, redirect: "error" });
    if (!response.ok || !response.body) {
      await response.body?.cancel();
      return undefined;
    }
    const decoder = new TextDecoder();
    let text = "";
    for await (const chunk of response.body) {
      text += decoder.decode(chunk, { stream: true });
      if (text.length > maxPeerBytes) return undefined;
    }
    return text;
  } catch {
    return undefined;
  }
}

/** The page with one label more on each sample: two instances of one service have the same samples otherwise. */
export function withLabel(page: string, name: string, value: string): string {
  return page.replaceAll(/^([A-Za-z_:][\w:]*)(\{)?/gm, (_, metric: string, brace?: string) =>
    brace ? `${metric}{${name}="${value}",` : `${metric}{${name}="${value}"}`,
  );
}

interface Family {
  /** The HELP and TYPE lines, by which of the two. */
  about: Map<string, string>;
  samples: string[];
}

/**
 * One page of several in the Prometheus text format: all samples of a family
 * stand together behind one HELP and one TYPE, as the format asks for.
 */
export function mergePages(pages: readonly string[]): string {
  const families = new Map<string, Family>();
  for (const page of pages) {
    // Samples of a histogram are named otherwise than their family: they belong to the one announced last.
    let current = "";
    for (const line of page.split("\n")) {
      if (line.trim() === "") continue;
      const comment = /^# (HELP|TYPE) (\S+)/.exec(line);
      if (line.startsWith("#") && !comment) continue;
      const sample = comment ? undefined : /^[^\s{]+/.exec(line)?.[0];
      if (comment?.[2]) current = comment[2];
      else if (sample && !belongsTo(sample, current)) current = sample;
      const family: Family = families.get(current) ?? { about: new Map(), samples: [] };
      families.set(current, family);
      if (!comment?.[1]) family.samples.push(line);
      else if (!family.about.has(comment[1])) family.about.set(comment[1], line);
    }
  }
  const lines = [...families.values()].flatMap(({ about, samples }) => [...about.values(), ...samples]);
  return `${lines.join("\n")}\n`;
}

function belongsTo(sample: string, family: string): boolean {
  return sample.startsWith(family) && /^(_(bucket|sum|count|total|created))?$/.test(sample.slice(family.length));
}
