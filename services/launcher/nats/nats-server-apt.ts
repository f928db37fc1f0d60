import { execFile } from "node:child_process";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { type AptSource, mainArchive, parseDeb822, parseOneLine, sourceFor } from "./apt-sources.ts";
import type { FetchNatsServer, FetchOptions } from "./nats-server-fetch.ts";

const run = promisify(execFile);

/**
 * Debian releases whose nats-server is new enough, the one that we would rather
 * have first: from 2.15 on the broker stores a batch with one fsync. The package
 * is a single Go binary that needs nothing but a libc, of bookworm or newer.
 */
const suites = ["forky", "trixie"] as const;
const aptTimeoutMs = 180_000;
// A mirror that says nothing for so long is not there.
const silenceSeconds = 15;
const versionTimeoutMs = 10_000;

/**
 * Takes nats-server out of Debian's own package, through the mirror and the
 * keys that this system trusts already. apt gets a configuration of its own, so
 * that neither root is needed nor the system's lists and caches change.
 */
export const fetchFromApt: FetchNatsServer = async (options) => {
  const release = await readFile("/etc/os-release", "utf8").catch(() => "");
  const codename = /^VERSION_CODENAME="?([a-z]+)"?$/m.exec(release)?.[1];
  if (!codename || !/^ID="?debian"?$/m.test(release)) return { ok: false, reason: "apt: this is not Debian" };
  const archive = mainArchive(await systemSources(), codename);
  if (!archive) return { ok: false, reason: `apt: no source with suite ${codename} is configured` };

  const reasons: string[] = [];
  for (const suite of suites) {
    const fetched = await fetchOf(archive, suite, options);
    if ("binary" in fetched) return { ok: true, binary: fetched.binary };
    reasons.push(`apt (${suite}): ${fetched.reason}`);
  }
  return { ok: false, reason: reasons.join("; ") };
};

/** Where it is, or why it could not be had from this suite. */
async function fetchOf(
  archive: AptSource,
  suite: string,
  options: FetchOptions,
): Promise<{ binary: string } | { reason: string }> {
  const { signal } = options;
  const workDir = join(options.workDir, suite);
  const step = options.step(`fetching nats-server from Debian ${suite}, once`);
  try {
    step.say("reading what Debian has");
    const configFile = await writeAptConfig(workDir, sourceFor(archive, suite));
    const apt = (...args: string[]) =>
      run("apt-get", ["-q", "-c", configFile, ...args], { cwd: workDir, timeout: aptTimeoutMs, signal });
    await apt("update");
    step.say("downloading it");
    await apt("download", "nats-server");
    const packageFile = (await readdir(workDir)).find((name) => name.endsWith(".deb"));
    if (!packageFile) return { reason: "nothing was downloaded" };
    await run("dpkg-deb", ["-x", packageFile, "unpacked"], { cwd: workDir, signal });
    const binary = join(workDir, "unpacked/usr/sbin/nats-server");
    await run(binary, ["-v"], { timeout: versionTimeoutMs, signal });
    return { binary };
  } catch (error) {
    signal.throwIfAborted();
    const said = error instanceof Error && "stderr" in error ? String(error.stderr) : "";
    return {
      reason: firstError(said) ?? (error instanceof Error ? (error.message.split("\n")[0] ?? "") : String(error)),
    };
  } finally {
    step.end();
  }
}

/** What apt itself calls an error, without its warnings. */
function firstError(stderr: string): string | undefined {
  return stderr
    .split("\n")
    .find((line) => line.startsWith("E: "))
    ?.slice("E: ".length)
    .trim();
}

async function systemSources(): Promise<AptSource[]> {
  const read = (file: string) => readFile(file, "utf8").catch(() => "");
  const partsDir = "/etc/apt/sources.list.d";
  const sources = parseOneLine(await read("/etc/apt/sources.list"));
  const names = await readdir(partsDir).catch(() => []);
  for (const name of names.sort()) {
    if (name.endsWith(".sources")) sources.push(...parseDeb822(await read(join(partsDir, name))));
    if (name.endsWith(".list")) sources.push(...parseOneLine(await read(join(partsDir, name))));
  }
  return sources;
}

/** The system's settings still hold (a proxy among them), but for where apt reads, writes and what it runs afterwards. */
async function writeAptConfig(workDir: string, source: string): Promise<string> {
  for (const dir of ["lists/partial", "cache/archives/partial"]) await mkdir(join(workDir, dir), { recursive: true });
  await writeFile(join(workDir, "carillon.sources"), source);
  const configFile = join(workDir, "apt.conf");
  await writeFile(
    configFile,
    [
      `Dir::Etc::sourcelist "${join(workDir, "carillon.sources")}";`,
      `Dir::Etc::sourceparts "-";`,
      `Dir::Etc::preferencesparts "-";`,
      `Dir::Etc::preferences "-";`,
      `Dir::State::lists "${join(workDir, "lists")}";`,
      `Dir::Cache "${join(workDir, "cache")}";`,
      // As root apt would drop to the user _apt, who may not enter this folder.
      `APT::Sandbox::User "";`,
      `Acquire::Languages "none";`,
      // Without an answer it would go on with what it does not have, and then say that there is no such package.
      `APT::Update::Error-Mode "any";`,
      `Acquire::Retries "1";`,
      `Acquire::http::Timeout "${silenceSeconds}";`,
      `Acquire::https::Timeout "${silenceSeconds}";`,
      "#clear APT::Update::Pre-Invoke;",
      "#clear APT::Update::Post-Invoke;",
      "#clear APT::Update::Post-Invoke-Success;",
      "",
    ].join("\n"),
  );
  return configFile;
}
