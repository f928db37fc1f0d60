// Runs before `npm start` and its like, with whatever Node the machine has:
// installs the packages when they are missing or older than the lock, and makes
// sure of a Node that runs TypeScript. Plain JavaScript, no packages, no new syntax.
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const neededNode = 24;
const oldestNode = 20;
const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const modules = join(root, "node_modules");
// Inside node_modules: whoever deletes that deletes the stamp with it.
const stampFile = join(modules, ".carillon-lock-hash");
// Not in it: npm ci empties node_modules.
const stateDir = join(root, ".carillon");
const lockDir = join(stateDir, "setup.lock");
const pidFile = join(lockDir, "pid");

if (Number(process.versions.node.split(".")[0]) < oldestNode) {
  fail(`Carillon needs Node ${oldestNode} or newer to install itself; this is ${process.version}.`);
}
const wanted = createHash("sha256")
  .update(readFileSync(join(root, "package-lock.json")))
  .digest("hex");
if (!isInstalled()) {
  takeLock();
  try {
    // Another start may have installed everything while this one waited.
    if (!isInstalled()) install();
  } finally {
    rmSync(lockDir, { recursive: true, force: true });
  }
}
checkNode();

function isInstalled() {
  try {
    return readFileSync(stampFile, "utf8") === wanted;
  } catch {
    return false;
  }
}

function install() {
  console.error("installing packages (once) ...");
  // With the development packages even where NODE_ENV says production, and with
  // the optional ones: Node itself is among them. Warnings about the engine
  // speak of the Node that npm runs on, and not of the one that is installed.
  // No package needs its install script: npm would compile better-sqlite3,
  // which brings its binaries along, because the lock cannot tell it not to.
  const args = ["ci", "--include=dev", "--include=optional", "--ignore-scripts", "--loglevel=error"];
  // npm run hands its own settings down as npm_config_*; `omit` would win over `include`.
  const env = { ...process.env, NODE_ENV: "development" };
  for (const name of Object.keys(env)) {
    if (/^npm_config_(omit|include|only|production|optional|loglevel)$/i.test(name)) delete env[name];
  }
  const { error, status, stdout } = spawnSync("npm", args, {
    cwd: root,
    env,
    stdio: ["ignore", "pipe", "inherit"],
    encoding: "utf8",
    shell: process.platform === "win32",
  });
  if (error || status !== 0) {
    if (stdout) console.error(stdout);
    fail(`npm ci failed${error ? `: ${error.message}` : ""}; its own words stand above.`);
  }
  writeFileSync(stampFile, wanted);
}

/** Two starts in one clone must not install on top of each other: mkdir succeeds for one of them only. */
function takeLock() {
  mkdirSync(stateDir, { recursive: true });
  for (let announced = false; ; ) {
    try {
      mkdirSync(lockDir);
      writeFileSync(pidFile, String(process.pid));
      return;
    } catch (error) {
      if (error.code !== "EEXIST") throw error;
    }
    if (isAbandoned()) {
      rmSync(lockDir, { recursive: true, force: true });
      continue;
    }
    if (!announced) console.error("waiting for another start that installs packages ...");
    announced = true;
    pause(200);
  }
}

function isAbandoned() {
  let pid;
  try {
    pid = Number(readFileSync(pidFile, "utf8"));
  } catch {
    // Just made, and its holder about to write; after a pause it must be there.
    pause(1_000);
    return existsSync(lockDir) && !existsSync(pidFile);
  }
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return error.code === "ESRCH";
  }
}

/** npm puts node_modules/.bin first on the path of its scripts: a Node there is the one that runs. */
function checkNode() {
  const local = join(modules, ".bin", "node");
  const found = existsSync(local) ? String(execFileSync(local, ["--version"])).trim() : process.version;
  if (major(found) >= neededNode) return;
  fail(
    `Carillon runs on Node ${neededNode}; this is ${found}, and for ${process.platform}-${process.arch} ` +
      `no package brings one along. Install Node ${neededNode} (https://nodejs.org) and start again.`,
  );
}

function major(version) {
  return Number(version.replace(/^v/, "").split(".")[0]);
}

function pause(ms) {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

function fail(message) {
  console.error(message);
  // A lock that this process holds must not stay behind.
  if (existsSync(pidFile) && readFileSync(pidFile, "utf8") === String(process.pid)) {
    rmSync(lockDir, { recursive: true, force: true });
  }
  process.exit(1);
}
