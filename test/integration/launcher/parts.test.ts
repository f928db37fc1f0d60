import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { appendFile, chmod, cp, mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createLinePrefixer } from "../../../services/launcher/children/line-prefixer.ts";
import { commandLine, endOrphans } from "../../../services/launcher/children/orphans.ts";
import { isFree, reservePorts } from "../../../services/launcher/children/ports.ts";
import { readLauncherConfig } from "../../../services/launcher/config.ts";
import { openDataDir } from "../../../services/launcher/data-dir.ts";
import { mainArchive, parseDeb822, parseOneLine, sourceFor } from "../../../services/launcher/nats/apt-sources.ts";
import { findNatsServer, isNewEnough, parseVersion } from "../../../services/launcher/nats/nats-server-binary.ts";
import { keepBinary, makeWorkDir, userCacheDir } from "../../../services/launcher/nats/nats-server-cache.ts";
import type { FetchNatsServer } from "../../../services/launcher/nats/nats-server-fetch.ts";
import { systemClock } from "../../../services/platform/process/clock.ts";

const never = new AbortController().signal;
const log = pino({ level: "silent" });
let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "carillon-launcher-"));
});
/** Stand-ins that a failed test would leave running. */
const strays: ChildProcess[] = [];
afterEach(async () => {
  for (const stray of strays.splice(0)) stray.kill("SIGKILL");
  await rm(dir, { recursive: true, force: true });
});

describe("finding nats-server", () => {
  const fake = async (where: string, version: string) => {
    await mkdir(where, { recursive: true });
    await writeFile(join(where, "nats-server"), `#!/bin/sh\necho "nats-server: v${version}"\n`);
    await chmod(join(where, "nats-server"), 0o755);
  };

  let fetches = 0;
  const fetching =
    (version: string): FetchNatsServer =>
    async ({ workDir }) => {
      fetches++;
      await fake(join(workDir, "new"), version);
      return { ok: true, binary: join(workDir, "new/nats-server") };
    };
  const options = () => ({
    searchPath: "",
    cacheDirs: [join(dir, "cache"), join(dir, "bin")],
    step: () => ({ say: () => {}, end: () => {} }),
    signal: never,
    clock: systemClock,
  });

  it("reads versions, and takes 2.10 and newer only", () => {
    expect(parseVersion("nats-server: v2.10.27\n")).toEqual([2, 10, 27]);
    expect(parseVersion("something else")).toBeUndefined();
    expect(
      [
        [2, 9, 25],
        [2, 10, 0],
        [2, 12, 1],
        [3, 0, 0],
      ].map((v) => isNewEnough(v as [number, number, number])),
    ).toEqual([false, true, true, true]);
  });

  it("prefers the PATH, passes over one that is too old, and then takes the cached copy", async () => {
    await fake(join(dir, "old"), "2.9.10");
    await fake(join(dir, "new"), "2.11.0");
    await fake(join(dir, "bin"), "2.10.27");
    const find = (searchPath: string) => findNatsServer({ ...options(), searchPath }, []);
    expect(await find(`${dir}/old:${dir}/new`)).toBe(join(dir, "new/nats-server"));
    expect(await find(`${dir}/old`)).toBe(join(dir, "bin/nats-server"));
  });

  it("fetches where there is none, and says what to install and why when that fails", async () => {
    const failing = async () => ({ ok: false as const, reason: "no network" });
    await expect(findNatsServer(options(), [failing])).rejects.toThrow(
      /^there is no nats-server 2\.10 or newer on the PATH, and none could be fetched \(no network\): .*start again.*NATS_URL\.$/,
    );
    expect(await findNatsServer(options(), [failing, fetching("2.10.27")])).toMatch(
      /nats-server-2\.10\.27-\S+\/nats-server$/,
    );
  });

  it("keeps what it fetched for all data folders, under version and sum, and fetches once for many who ask at once", async () => {
    const first = await findNatsServer(options(), [fetching("2.11.0")]);
    expect(first).toMatch(
      new RegExp(`^${dir}/cache/nats-server-2\\.11\\.0-${process.platform}-${process.arch}-[0-9a-f]{16}/`),
    );
    await rm(join(dir, "cache"), { recursive: true });
    fetches = 0;
    const all = [1, 2, 3].map(() =>
      findNatsServer({ ...options(), cacheDirs: [join(dir, "cache")] }, [fetching("2.11.0")]),
    );
    expect(await Promise.all(all)).toEqual([first, first, first]);
    expect(fetches).toBe(1);
    expect((await readdir(join(dir, "cache"))).filter((name) => name.startsWith("fetch-"))).toEqual([]);
  });

  it("takes the newest of its copies, and never one that is damaged or of another machine", async () => {
    const cacheDir = join(dir, "cache");
    const older = await findNatsServer(options(), [fetching("2.9.0"), fetching("2.10.3")]);
    const kept = async (version: string) => {
      const workDir = await makeWorkDir(cacheDir);
      await fake(workDir, version);
      return keepBinary(cacheDir, workDir, join(workDir, "nats-server"), version);
    };
    const newer = await kept("2.10.20");
    const ofAnother = dirname(newer).replace("2.10.20", "2.99.0").replace(process.platform, "plan9");
    await cp(dirname(newer), ofAnother, { recursive: true });
    expect(await findNatsServer(options(), [])).toBe(newer);
    // It still runs, and says what it said.
    await appendFile(newer, "# one byte more\n");
    expect(await findNatsServer(options(), [])).toBe(older);
    // The same again takes the damaged one's place.
    expect(await kept("2.10.20")).toBe(newer);
    expect(await findNatsServer(options(), [])).toBe(newer);
  });

  it("falls back to the data folder where the user's cache cannot be made", async () => {
    const cacheDirs = ["/proc/nope/carillon", join(dir, "data")];
    expect(await findNatsServer({ ...options(), cacheDirs }, [fetching("2.11.0")])).toContain(
      join(dir, "data/nats-server-2.11.0"),
    );
    const none = findNatsServer({ ...options(), cacheDirs: ["/proc/nope/carillon"] }, [fetching("2.11.0")]);
    await expect(none).rejects.toThrow(/none could be fetched \(ENOENT.*\/proc\/nope.*\): /);
    expect(userCacheDir({})).toBeUndefined();
    expect(userCacheDir({ HOME: "/home/me" })).toBe("/home/me/.cache/carillon");
    expect(userCacheDir({ HOME: "/home/me", XDG_CACHE_HOME: "not/absolute" })).toBe("/home/me/.cache/carillon");
    expect(userCacheDir({ HOME: "/home/me", XDG_CACHE_HOME: "/var/me" })).toBe("/var/me/carillon");
  });

  it("that is given up ends at once, leaves nothing half done, and lets the next one fetch", async () => {
    const giveUp = new AbortController();
    const hanging: FetchNatsServer = ({ signal }) =>
      new Promise((_, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason));
        giveUp.abort(new Error("given up"));
      });
    await expect(findNatsServer({ ...options(), signal: giveUp.signal }, [hanging])).rejects.toThrow("given up");
    expect((await readdir(join(dir, "cache"))).filter((name) => name !== "fetch.lock")).toEqual([]);
    expect(await findNatsServer(options(), [fetching("2.11.0")])).toContain("2.11.0");
  });
});

describe("the system's apt sources", () => {
  it("are read in both styles, and give a source of one suite with the same mirror and keys", () => {
    const deb822 = [
      "Types: deb",
      "# a comment",
      "URIs: http://mirror.example/debian",
      "Suites: bookworm bookworm-updates",
      "Components: main",
      "Signed-By: /usr/share/keyrings/a.gpg",
      "",
      "Types: deb",
      "URIs: http://mirror.example/other",
      "Suites: bookworm",
      "Components: main",
      "Enabled: no",
    ].join("\n");
    const found = mainArchive(parseDeb822(deb822), "bookworm");
    expect(found?.uris).toEqual(["http://mirror.example/debian"]);
    expect(found && sourceFor(found, "trixie")).toBe(
      "Types: deb\nURIs: http://mirror.example/debian\nSuites: trixie\nComponents: main\nSigned-By: /usr/share/keyrings/a.gpg\n",
    );
    const lines =
      "deb-src http://x y main\ndeb [arch=amd64 signed-by=/k.gpg] http://m/debian bookworm main contrib # c\n";
    expect(parseOneLine(lines)).toEqual([
      { uris: ["http://m/debian"], suites: ["bookworm"], components: ["main", "contrib"], signedBy: "/k.gpg" },
    ]);
  });
});

describe("the data folder", () => {
  it("refuses a second launcher, naming the first, and is free again after release", () => {
    const first = openDataDir(dir);
    first.writePid("launcher", 4242);
    expect(() => openDataDir(dir)).toThrow(/in use by another launcher \(process 4242\)/);
    first.release();
    openDataDir(dir).release();
  });

  it("that cannot be made is refused by its name, and not tried for ever", () => {
    expect(() => openDataDir("/proc/nope")).toThrow(
      /^CARILLON_DATA_DIR: \/proc\/nope cannot be used \(ENOENT.*\): set CARILLON_DATA_DIR to another folder\.$/,
    );
  });

  it("is free again when its launcher was killed", async () => {
    const module = join(import.meta.dirname, "../../../services/launcher/data-dir.ts");
    const script = `import { openDataDir } from ${JSON.stringify(module)}; openDataDir(${JSON.stringify(dir)}); console.log("held"); setInterval(() => {}, 1000);`;
    const holder = spawn(process.execPath, ["--input-type=module-typescript", "-e", script], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    strays.push(holder);
    await once(holder.stdout, "data");
    expect(() => openDataDir(dir)).toThrow(/in use/);
    holder.kill("SIGKILL");
    await once(holder, "exit");
    openDataDir(dir).release();
  });
});

describe("ports", () => {
  it("reserved with one seed at the same time never collide, and lie below the ephemeral range", async () => {
    const blocks = await Promise.all(Array.from({ length: 4 }, () => reservePorts("same seed")));
    const taken = blocks.flatMap((block) => Array.from({ length: 10 }, () => block.take()));
    expect(new Set(taken).size).toBe(40);
    expect(Math.max(...taken)).toBeLessThan(32_768);
    await Promise.all(blocks.map((block) => block.release()));
  });

  it("that are in use or excepted are not given out", async () => {
    const probe = await reservePorts("another seed");
    const [used, excepted] = [probe.take(), probe.take()];
    await probe.release();
    const server = createServer().listen(used, "127.0.0.1");
    await once(server, "listening");
    expect(await isFree("127.0.0.1", used)).toBe(false);
    const block = await reservePorts("another seed", new Set([excepted]));
    const given = Array.from({ length: 13 }, () => block.take());
    expect(given).not.toContain(used);
    expect(given).not.toContain(excepted);
    await block.release();
    server.close();
  });
});

describe("what a killed launcher left behind", () => {
  const sleeper = async (mark: string): Promise<ChildProcess> => {
    const process_ = spawn(process.execPath, ["-e", "console.log(1); setInterval(() => {}, 1000)", "--", mark], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    strays.push(process_);
    await once(process_.stdout, "data");
    return process_;
  };

  it("is ended by its command line, and a stranger with the noted process id is left alone", async () => {
    const [ours, stranger] = await Promise.all([sleeper(`--of=${dir}`), sleeper("--of=elsewhere")]);
    const gone = once(ours, "exit");
    const suspects = [ours, stranger].map(({ pid }) => ({
      name: "x",
      pid,
      mark: `--of=${dir}`,
      stopSignal: "SIGTERM" as const,
    }));
    await endOrphans(suspects, systemClock, log, never);
    await gone;
    expect(await commandLine(stranger.pid ?? 0)).toContain("--of=elsewhere");
    stranger.kill("SIGKILL");
    await once(stranger, "exit");
  });
});

describe("the log prefix", () => {
  it("stands before each whole line, however the chunks fall, and drops refused lines", () => {
    let written = "";
    const lines = createLinePrefixer({
      prefix: "p | ",
      keep: (line) => line !== "no",
      write: (text) => (written += text),
    });
    for (const chunk of ["a", "b\nno\nc\n", "tail"]) lines.push(chunk);
    lines.flush();
    expect(written).toBe("p | ab\np | c\np | tail\n");
  });
});

describe("the launcher's configuration", () => {
  it("names everything that is wrong at once, with a suggestion for a misspelt variable", () => {
    const env = {
      CARILLON_HTTP_ADR: "x",
      CARILLON_GRPC_ADDR: "nonsense",
      CARILLON_REPLICAS: "3",
      CARILLON_OPS_ADDR: "a:1",
    };
    const read = () => readLauncherConfig(env, dir);
    expect(read).toThrow(/did you mean CARILLON_HTTP_ADDR/);
    for (const name of ["CARILLON_GRPC_ADDR", "CARILLON_REPLICAS", "CARILLON_OPS_ADDR"]) expect(read).toThrow(name);
  });

  it("refuses to listen beyond this machine without a token", () => {
    const env = { CARILLON_HTTP_ADDR: "0.0.0.0:8080" };
    expect(() => readLauncherConfig(env, dir)).toThrow(/CARILLON_API_TOKENS/);
    expect(readLauncherConfig({ ...env, CARILLON_API_TOKENS: "secret" }, dir).http.host).toBe("0.0.0.0");
  });
});
