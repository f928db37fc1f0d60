import type { Registry } from "prom-client";
import { type Address, formatAddress } from "../../platform/process/environment.ts";

export interface MetricsPage {
  contentType: string;
  body: string;
}

/** The metrics of this process and of its peers on one page; a peer that does not answer is told by carillon_peer_up. */
export interface MergedMetrics {
  metrics(): Promise<MetricsPage>;
}

// Prometheus gives a scrape 10 s; a peer that hangs must not cost it all.
const peerTimeoutMs = 1_000;
const maxPeerBytes = 8 * 1024 * 1024;

export function createMergedMetrics(own: Registry, peers: readonly Address[]): MergedMetrics {
  return {
    async metrics() {
      const names = peers.map(formatAddress);
      const pages = await Promise.all(names.map(fetchPage));
      const up = names.map((name, index) => `carillon_peer_up{peer="${name}"} ${pages[index] === undefined ? 0 : 1}`);
      const about = ["# HELP carillon_peer_up Whether a service's /metrics answered", "# TYPE carillon_peer_up gauge"];
      const answered = names.flatMap((name, index) => {
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

async function fetchPage(peer: string): Promise<string | undefined> {
  try {
    const response = await fetch(`http://${peer}/metrics`, { signal: AbortSignal.timeout(peerTimeoutMs) });
    const text = await response.text();
    return response.ok && text.length <= maxPeerBytes ? text : undefined;
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
