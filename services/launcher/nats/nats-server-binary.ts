import { execFile } from "node:child_process";
import { access, constants } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { fetchFromApt } from "./nats-server-apt.ts";
import type { FetchNatsServer, FetchOptions } from "./nats-server-fetch.ts";
import { fetchFromRelease } from "./nats-server-release.ts";

const run = promisify(execFile);

/** 2.9 loses streams in known cases and has no `sync_interval`. */
const oldestNatsServer = [2, 10] as const;

export interface FindOptions extends FetchOptions {
  /** Folders separated as in PATH. */
  searchPath: string;
}

/**
 * The path of a nats-server that is new enough: on the PATH, else the cached
 * copy, else a fetched one. Throws with what to install when there is none.
 */
export async function findNatsServer(
  options: FindOptions,
  fetches: readonly FetchNatsServer[] = [fetchFromApt, fetchFromRelease],
): Promise<string> {
  const reasons: string[] = [];
  const onPath = options.searchPath.split(delimiter).filter(Boolean);
  const cached = join(options.binDir, "nats-server");
  for (const candidate of [...onPath.map((dir) => join(dir, "nats-server")), cached]) {
    const version = await versionOf(candidate);
    if (version !== undefined && isNewEnough(version)) return candidate;
    if (version !== undefined) reasons.push(`${candidate} has version ${version.join(".")}`);
  }
  for (const fetchIt of fetches) {
    const fetched = await fetchIt(options);
    if (!fetched.ok) reasons.push(fetched.reason);
    else if (isNewEnough((await versionOf(cached)) ?? [0, 0, 0])) return cached;
    else reasons.push("the fetched nats-server does not run here");
  }
  throw new Error(
    [
      `no nats-server ${oldestNatsServer.join(".")} or newer found. Install it (https://docs.nats.io, or: brew install nats-server)`,
      "so that it stands on the PATH, or point NATS_URL at a running one with JetStream.",
      ...reasons.map((reason) => `  ${reason}`),
    ].join("\n"),
  );
}

export type Version = readonly [major: number, minor: number, patch: number];

/** Reads `nats-server: v2.10.27`; undefined when it is something else. */
export function parseVersion(output: string): Version | undefined {
  const match = /^nats-server: v(\d+)\.(\d+)\.(\d+)/m.exec(output);
  return match ? [Number(match[1]), Number(match[2]), Number(match[3])] : undefined;
}

export function isNewEnough([major, minor]: Version): boolean {
  const [oldestMajor, oldestMinor] = oldestNatsServer;
  return major > oldestMajor || (major === oldestMajor && minor >= oldestMinor);
}

async function versionOf(path: string): Promise<Version | undefined> {
  try {
    await access(path, constants.X_OK);
    const { stdout } = await run(path, ["-v"], { timeout: 10_000 });
    return parseVersion(stdout);
  } catch {
    // Absent, not executable, or built for another machine: as good as absent.
    return undefined;
  }
}
