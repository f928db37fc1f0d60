import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import type { FetchNatsServer } from "./nats-server-fetch.ts";

const run = promisify(execFile);

const version = "2.10.29";
// The sums that the official Docker image of this version checks its download against.
const archives: Readonly<Record<string, { name: string; sha256: string }>> = {
  "linux-x64": {
    name: `nats-server-v${version}-linux-amd64`,
    sha256: "e314da74a83a1d3876db8814c27eb990fe729640fd6452025b441bcede8390da",
  },
  "linux-arm64": {
    name: `nats-server-v${version}-linux-arm64`,
    sha256: "da4b27942ecfb4c5f0c54553d2e7f470ddda9d7581cfe8131b351a0e223ed401",
  },
};
// 7 MB: a slow line needs its time, and a dead one must not hold up the start for ever.
const downloadTimeoutMs = 120_000;

/** Fetches the official release archive of a pinned version, on the platforms whose checksum is pinned. */
export const fetchFromRelease: FetchNatsServer = async ({ binDir, say }) => {
  const platform = `${process.platform}-${process.arch}`;
  const archive = archives[platform];
  if (!archive) return { ok: false, reason: `release archive: none is pinned for ${platform}` };
  const url = `https://github.com/nats-io/nats-server/releases/download/v${version}/${archive.name}.tar.gz`;
  await mkdir(binDir, { recursive: true });
  const workDir = await mkdtemp(join(binDir, "fetch-"));
  try {
    say(`fetching nats-server ${version} from its release page ...`);
    const response = await fetch(url, { signal: AbortSignal.timeout(downloadTimeoutMs) });
    if (!response.ok) return { ok: false, reason: `release archive: ${url} answers ${response.status}` };
    const bytes = new Uint8Array(await response.arrayBuffer());
    const sum = createHash("sha256").update(bytes).digest("hex");
    if (sum !== archive.sha256) return { ok: false, reason: `release archive: ${url} has checksum ${sum}` };
    const file = join(workDir, "archive.tar.gz");
    await writeFile(file, bytes);
    await run("tar", ["-xzf", file, "-C", workDir]);
    // A rename is atomic: of two starts that fetch at once, either one's copy is whole.
    await rename(join(workDir, archive.name, "nats-server"), join(binDir, "nats-server"));
    return { ok: true };
  } catch (error) {
    const cause = error instanceof Error ? (error.cause ?? error) : error;
    return { ok: false, reason: `release archive: ${cause instanceof Error ? cause.message : String(cause)}` };
  } finally {
    await rm(workDir, { recursive: true, force: true });
  }
};
