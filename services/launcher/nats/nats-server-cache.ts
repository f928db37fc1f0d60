import { createHash } from "node:crypto";
import { accessSync, constants } from "node:fs";
import { chmod, mkdir, mkdtemp, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { isAbsolute, join } from "node:path";
import { type Clock, sleep } from "../../platform/process/clock.ts";
import type { Environment } from "../../platform/process/environment.ts";
import { makeFolder } from "../../platform/process/make-folder.ts";
import { takeFileLock } from "../../platform/sql/file-lock.ts";

/** Where a fetched nats-server lies for all data folders of a user, the XDG way; undefined: there is no such place. */
export function userCacheDir(env: Environment): string | undefined {
  const { XDG_CACHE_HOME: xdg, HOME: home } = env;
  if (xdg && isAbsolute(xdg)) return join(xdg, "carillon");
  return home && isAbsolute(home) ? join(home, ".cache/carillon") : undefined;
}

const platform = `${process.platform}-${process.arch}`;
const sumDigits = 16;
const lockPollMs = 200;
// Longer than any fetch takes.
const abandonedAfterMs = 3_600_000;

/**
 * The binary of each copy in a cache, the newest version first. A copy's name tells the sum
 * of its content: one that was damaged is passed over.
 */
export async function cachedBinaries(cacheDir: string): Promise<string[]> {
  const copies = (await readdir(cacheDir).catch(() => []))
    .flatMap((name) => {
      const [, version = "", where, sum] = /^nats-server-([\d.]+)-([a-z0-9]+-[a-z0-9]+)-([0-9a-f]+)$/.exec(name) ?? [];
      return where === platform ? [{ binary: join(cacheDir, name, "nats-server"), version, sum }] : [];
    })
    .sort((a, b) => b.version.localeCompare(a.version, "en", { numeric: true }));
  const whole = await Promise.all(copies.map(async ({ binary, sum }) => (await sumOf(binary)) === sum));
  return copies.filter((_, i) => whole[i]).map(({ binary }) => binary);
}

/** The first of these folders that can be written, made where it is not there. Throws what is wrong with the last. */
export function firstWritable(folders: readonly string[]): string {
  let problem: unknown;
  for (const folder of folders) {
    try {
      makeFolder(folder);
      accessSync(folder, constants.W_OK);
      return folder;
    } catch (error) {
      problem = error;
    }
  }
  throw problem;
}

/**
 * Holds the cache's lock while `use` runs, so that of several starts one fetches and the others
 * find what it has fetched. The lock falls when its holder dies.
 */
export async function withCacheLock<T>(
  cacheDir: string,
  { clock, signal, onWait }: { clock: Clock; signal: AbortSignal; onWait: () => void },
  use: () => Promise<T>,
): Promise<T> {
  let lock = takeFileLock(join(cacheDir, "fetch.lock"));
  if (!lock) onWait();
  while (!lock) {
    await sleep(clock, lockPollMs, signal);
    signal.throwIfAborted();
    lock = takeFileLock(join(cacheDir, "fetch.lock"));
  }
  try {
    await removeAbandoned(cacheDir, clock);
    return await use();
  } finally {
    lock.release();
  }
}

/** A folder to fetch into, on the cache's own disk: what is complete is moved from it at one stroke. */
export function makeWorkDir(cacheDir: string): Promise<string> {
  return mkdtemp(join(cacheDir, "fetch-"));
}

/** Takes a binary over; it is in the cache as a whole or not at all. Resolves with its place. */
export async function keepBinary(cacheDir: string, workDir: string, binary: string, version: string): Promise<string> {
  const sum = await sumOf(binary);
  const whole = join(workDir, "whole");
  await mkdir(whole);
  await chmod(binary, 0o755);
  await rename(binary, join(whole, "nats-server"));
  const place = join(cacheDir, `nats-server-${version}-${platform}-${sum}`);
  // A damaged copy of the same name would be in the way.
  await rm(place, { recursive: true, force: true });
  await rename(whole, place);
  return join(place, "nats-server");
}

async function sumOf(file: string): Promise<string | undefined> {
  try {
    const digest = createHash("sha256").update(await readFile(file));
    return digest.digest("hex").slice(0, sumDigits);
  } catch {
    // Not there, or not to be read: as good as not there.
    return undefined;
  }
}

/** What a killed start has left half fetched. */
async function removeAbandoned(cacheDir: string, clock: Clock): Promise<void> {
  for (const name of await readdir(cacheDir)) {
    if (!name.startsWith("fetch-")) continue;
    const path = join(cacheDir, name);
    const madeAtMs = await stat(path).then(
      ({ mtimeMs }) => mtimeMs,
      () => Number.POSITIVE_INFINITY,
    );
    if (clock.nowMs() - madeAtMs > abandonedAfterMs) await rm(path, { recursive: true, force: true });
  }
}
