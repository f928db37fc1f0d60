import { execFile } from "node:child_process";
import { access, constants, rm } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import type { Clock } from "../../platform/process/clock.ts";
import type { Step } from "../setup/progress.mjs";
import { fetchFromApt } from "./nats-server-apt.ts";
import { cachedBinaries, firstWritable, keepBinary, makeWorkDir, withCacheLock } from "./nats-server-cache.ts";
import type { FetchNatsServer } from "./nats-server-fetch.ts";
import { fetchFromRelease } from "./nats-server-release.ts";

const run = promisify(execFile);

/** 2.9 loses streams in known cases and has no `sync_interval`. */
const oldestNatsServer = [2, 10] as const;
const versionTimeoutMs = 10_000;

export interface FindOptions {
  /** Folders separated as in PATH. */
  searchPath: string;
  /** Where fetched copies may lie. A new one is kept in the first that can be written. */
  cacheDirs: readonly string[];
  step: (label: string) => Step;
  signal: AbortSignal;
  clock: Clock;
}

/**
 * The path of a nats-server that is new enough: on the PATH, else a cached
 * copy, else a fetched one. Throws with what to do when there is none.
 */
export async function findNatsServer(
  options: FindOptions,
  fetches: readonly FetchNatsServer[] = [fetchFromApt, fetchFromRelease],
): Promise<string> {
  const { cacheDirs, clock, signal } = options;
  const reasons: string[] = [];
  const there = (await onPath(options.searchPath, reasons)) ?? (await inCaches(cacheDirs));
  if (there !== undefined) return there;
  try {
    const cacheDir = firstWritable(cacheDirs);
    const onWait = () => void options.step("waiting for another start that fetches nats-server");
    // Another start may have fetched it while this one waited.
    const fetchOnce = async () =>
      (await inCaches([cacheDir])) ?? (await fetchInto(cacheDir, options, fetches, reasons));
    const binary = await withCacheLock(cacheDir, { clock, signal, onWait }, fetchOnce);
    if (binary !== undefined) return binary;
  } catch (error) {
    signal.throwIfAborted();
    reasons.push(error instanceof Error ? error.message : String(error));
  }
  throw new Error(
    `there is no nats-server ${oldestNatsServer.join(".")} or newer on the PATH, and none could be fetched (${reasons.join("; ")}): ` +
      "mend that and start again, install one (https://docs.nats.io, or: brew install nats-server), or name a running one in NATS_URL.",
  );
}

async function onPath(searchPath: string, reasons: string[]): Promise<string | undefined> {
  for (const dir of searchPath.split(delimiter).filter(Boolean)) {
    const candidate = join(dir, "nats-server");
    const version = await versionOf(candidate);
    if (version !== undefined && isNewEnough(version)) return candidate;
    if (version !== undefined) reasons.push(`${candidate} has version ${version.join(".")}`);
  }
  return undefined;
}

async function inCaches(cacheDirs: readonly string[]): Promise<string | undefined> {
  for (const cacheDir of cacheDirs) {
    // Where it lay before there was one cache for all.
    for (const binary of [...(await cachedBinaries(cacheDir)), join(cacheDir, "nats-server")]) {
      const version = await versionOf(binary);
      if (version !== undefined && isNewEnough(version)) return binary;
    }
  }
  return undefined;
}

async function fetchInto(
  cacheDir: string,
  { step, signal }: FindOptions,
  fetches: readonly FetchNatsServer[],
  reasons: string[],
): Promise<string | undefined> {
  for (const fetchIt of fetches) {
    const workDir = await makeWorkDir(cacheDir);
    try {
      const fetched = await fetchIt({ workDir, step, signal });
      if (!fetched.ok) {
        reasons.push(fetched.reason);
        continue;
      }
      const version = await versionOf(fetched.binary);
      if (version && isNewEnough(version))
        return await keepBinary(cacheDir, workDir, fetched.binary, version.join("."));
      reasons.push("the fetched nats-server does not run here");
    } finally {
      await rm(workDir, { recursive: true, force: true });
    }
    signal.throwIfAborted();
  }
  return undefined;
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
    const { stdout } = await run(path, ["-v"], { timeout: versionTimeoutMs });
    return parseVersion(stdout);
  } catch {
    // Absent, not executable, or built for another machine: as good as absent.
    return undefined;
  }
}
