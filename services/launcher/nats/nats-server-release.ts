import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { writeFile } from "node:fs/promises";
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
export const fetchFromRelease: FetchNatsServer = async ({ workDir, step: begin, signal }) => {
  const platform = `${process.platform}-${process.arch}`;
  const archive = archives[platform];
  if (!archive) return { ok: false, reason: `release archive: none is pinned for ${platform}` };
  const url = `https://github.com/nats-io/nats-server/releases/download/v${version}/${archive.name}.tar.gz`;
  const step = begin(`fetching nats-server ${version} from its release page, once`);
  try {
    const response = await fetch(url, { signal: AbortSignal.any([signal, AbortSignal.timeout(downloadTimeoutMs)]) });
    if (!response.ok) return { ok: false, reason: `release archive: ${url} answers ${response.status}` };
    const bytes = await readBody(response, step.say);
    const sum = createHash("sha256").update(bytes).digest("hex");
    if (sum !== archive.sha256) return { ok: false, reason: `release archive: ${url} has checksum ${sum}` };
    const file = join(workDir, "archive.tar.gz");
    await writeFile(file, bytes);
    await run("tar", ["-xzf", file, "-C", workDir], { signal });
    return { ok: true, binary: join(workDir, archive.name, "nats-server") };
  } catch (error) {
    signal.throwIfAborted();
    const cause = error instanceof Error ? (error.cause ?? error) : error;
    return { ok: false, reason: `release archive: ${cause instanceof Error ? cause.message : String(cause)}` };
  } finally {
    step.end();
  }
};

const bytesOfMegabyte = 1e6;

async function readBody(response: Response, say: (detail: string) => void): Promise<Uint8Array> {
  const megabytes = (bytes: number) => (bytes / bytesOfMegabyte).toFixed(1);
  const all = Number(response.headers.get("content-length"));
  const chunks: Uint8Array[] = [];
  let read = 0;
  for await (const chunk of response.body ?? []) {
    chunks.push(chunk);
    read += chunk.length;
    say(`${megabytes(read)}${all > 0 ? ` of ${megabytes(all)}` : ""} MB`);
  }
  return Buffer.concat(chunks);
}
