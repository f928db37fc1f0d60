import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { Linter } from "eslint";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { explainNpmFailure } from "../../../services/launcher/setup/npm-words.mjs";
import { closedPort } from "../../support/closed-port.ts";
import { isRunning } from "../../support/is-running.ts";
import { repositoryDir } from "../../support/nats.ts";

const launcherDir = join(repositoryDir, "services/launcher");
let root: string;
let running: ChildProcess[] = [];
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "carillon-setup-"));
  await cp(join(launcherDir, "setup.mjs"), join(root, "services/launcher/setup.mjs"));
  await cp(join(launcherDir, "setup"), join(root, "services/launcher/setup"), { recursive: true });
});
afterEach(async () => {
  for (const child of running) child.kill("SIGKILL");
  running = [];
  await rm(root, { recursive: true, force: true });
});

/** A clone with a package that everybody needs and one for developers. They lie in it, or come from a registry. */
const clone = async (fromRegistry = false) => {
  const packages: Record<string, object> = {};
  const names = ["needed", "tool"] as const;
  for (const name of names) {
    await mkdir(join(root, "packages", name), { recursive: true });
    await writeFile(join(root, "packages", name, "package.json"), JSON.stringify({ name, version: "1.0.0" }));
    const dev = name === "tool" ? { dev: true } : {};
    if (fromRegistry) packages[`node_modules/${name}`] = { version: "1.0.0", ...dev };
    else {
      packages[`node_modules/${name}`] = { resolved: `packages/${name}`, link: true, ...dev };
      packages[`packages/${name}`] = { version: "1.0.0", ...dev };
    }
  }
  const source = (name: string) => (fromRegistry ? "1.0.0" : `file:packages/${name}`);
  const manifest = {
    name: "clone",
    version: "1.0.0",
    dependencies: { needed: source("needed") },
    devDependencies: { tool: source("tool") },
  };
  await writeFile(join(root, "package.json"), JSON.stringify(manifest));
  await writeFile(
    join(root, "package-lock.json"),
    JSON.stringify({ name: "clone", lockfileVersion: 3, packages: { "": manifest, ...packages } }),
  );
};

const setup = (args: readonly string[] = [], env: Record<string, string> = {}, nodeArgs: readonly string[] = []) => {
  const child = spawn(process.execPath, [...nodeArgs, join(root, "services/launcher/setup.mjs"), ...args], {
    env: {
      PATH: `${dirname(process.execPath)}:${process.env.PATH ?? ""}`,
      HOME: root,
      npm_config_fetch_retries: "0",
      ...env,
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  running.push(child);
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => (output += text));
  const ended = once(child, "close").then(([code]) => ({ code: code as number | null, output }));
  return { child, ended };
};
const installed = async () =>
  (await readdir(join(root, "node_modules"))).filter((name) => !name.startsWith(".")).sort();

describe("the packages of a clone", () => {
  it("are those of the product for a start, gain the tools for a check, and never lose them again", async () => {
    await clone();
    expect(await setup().ended).toMatchObject({ code: 0, output: "installing the packages, once ...\n" });
    expect(await installed()).toEqual(["needed"]);
    expect(await setup().ended).toEqual({ code: 0, output: "" });
    expect(await setup(["--tools"]).ended).toMatchObject({ code: 0 });
    expect(await installed()).toEqual(["needed", "tool"]);
    expect(await setup().ended).toEqual({ code: 0, output: "" });
    // A lock that is newer: a start renews what is there, the tools among it.
    const lock = await readFile(join(root, "package-lock.json"), "utf8");
    await writeFile(join(root, "package-lock.json"), `${lock}\n`);
    expect(await setup().ended).toMatchObject({ code: 0, output: "installing the packages, once ...\n" });
    expect(await installed()).toEqual(["needed", "tool"]);
  });

  it("are asked for in vain where no registry answers: one sentence says so, and what to do", async () => {
    await clone(true);
    const registry = `127.0.0.1:${await closedPort()}`;
    const { code, output } = await setup([], { npm_config_registry: `http://${registry}` }).ended;
    expect(code).toBe(1);
    const [first, second, ...rest] = output.trimEnd().split("\n");
    expect(first).toBe("installing the packages, once ...");
    expect(second).toMatch(
      new RegExp(
        `^the npm registry ${registry} cannot be reached \\(ECONNREFUSED\\): check the network.*start again \\(npm's log: .*\\)\\.$`,
      ),
    );
    expect(rest).toEqual([]);
    expect(await readdir(join(root, ".carillon"))).toEqual([]);
  });
});

describe("Ctrl-C while the packages are installed", () => {
  let silent: Server;
  beforeEach(async () => {
    silent = createServer().listen(0, "127.0.0.1");
    await once(silent, "listening");
  });
  afterEach(() => silent.close());

  it.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const)("ends npm as well on %s, says so by code %i, and the next start installs", async (signal, expected) => {
    await clone(true);
    const asked = once(silent, "connection");
    const { port } = silent.address() as AddressInfo;
    const { child, ended } = setup([], { npm_config_registry: `http://127.0.0.1:${port}` });
    const [socket] = await asked;
    const npmIsGone = once(socket, "close");
    socket.on("error", () => {}).resume();
    child.kill(signal);
    const { code, output } = await ended;
    expect(code).toBe(expected);
    expect(output).toContain("stopped: the packages are not installed");
    await npmIsGone;
    expect(isRunning(child.pid ?? 0)).toBe(false);
    expect(await readdir(join(root, ".carillon"))).toEqual([]);
    await clone();
    expect(await setup().ended).toMatchObject({ code: 0 });
    expect(await installed()).toEqual(["needed"]);
  });
});

describe("a machine that cannot run it", () => {
  const pretend = (version: string, platform: string = process.platform) => [
    "--import",
    `data:text/javascript,${encodeURIComponent(
      `Object.defineProperty(process, "version", { value: "${version}" }); Object.defineProperty(process, "platform", { value: "${platform}" });`,
    )}`,
  ];

  it("is told so before anything is fetched: an old Node, or no Node for this machine", async () => {
    await clone();
    const old = await setup([], {}, pretend("v18.20.8")).ended;
    expect(old).toEqual({
      code: 1,
      output: expect.stringMatching(
        /^Carillon needs Node 20 or newer .* this is v18\.20\.8: install Node 24 .* start again\.\n$/,
      ),
    });
    const strange = await setup([], {}, pretend("v20.1.0", "plan9")).ended;
    expect(strange).toEqual({
      code: 1,
      output: expect.stringMatching(/^Carillon runs on Node 24, .* for plan9-.*start again\.\n$/),
    });
    expect(await readdir(root)).not.toContain("node_modules");
  });

  it("can read what tells it: nothing that runs before the packages are there is newer than ES2020", async () => {
    const files = (await readdir(join(launcherDir, "setup"))).map((name) => join("setup", name));
    for (const file of ["setup.mjs", ...files]) {
      const source = await readFile(join(launcherDir, file), "utf8");
      const faults = new Linter().verify(source, [{ languageOptions: { ecmaVersion: 2020, sourceType: "module" } }]);
      expect({ file, faults }).toEqual({ file, faults: [] });
    }
  });

  it("is told of a folder that cannot be written", async () => {
    await clone();
    await writeFile(join(root, ".carillon"), "a file is in the way");
    const { code, output } = await setup().ended;
    expect(code).toBe(1);
    expect(output).toMatch(/^\S+\.carillon\S* cannot be written \(E\w+\): .*make it writable.*\.\n$/);
  });
});

describe("what npm says when it fails", () => {
  it.each([
    [
      "npm error code EROFS\nnpm error path /c/node_modules",
      /^\/c\/node_modules cannot be written \(EROFS\): make it writable/,
    ],
    ["npm ERR! code ENOSPC", /^the disk is full \(ENOSPC.*\): make room and start again/],
    ["npm error code E401", /lets nobody in \(E401\): log in/],
    ["npm error code SELF_SIGNED_CERT_IN_CHAIN", /is not trusted \(SELF_SIGNED_CERT_IN_CHAIN\): name its certificate/],
    ["npm error code EINTEGRITY", /cache seems to be broken \(EINTEGRITY\): run "npm cache clean --force"/],
    [
      "npm error code EUSAGE\nnpm error\nnpm error no lock",
      /^npm ci failed \(EUSAGE: no lock\): mend that and start again\.$/,
    ],
  ])("becomes one sentence that says what to do: %j", (output, sentence) => {
    const said = explainNpmFailure(output, "/c");
    expect(said).toMatch(sentence);
    expect(said).not.toContain("\n");
  });
});
