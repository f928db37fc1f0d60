// Runs before `npm start` and its like, with whatever Node the machine has:
// installs the packages when they are missing or older than the lock, and makes
// sure of a Node that runs TypeScript. Plain JavaScript, no packages, no new
// syntax: an old Node must be able to read it, and say that it is too old.
//
// `--tools`: with what only developers need. It ends with 0 when everything is
// there, 1 with one sentence when it cannot be, 130 after Ctrl-C (143, 129).
import { spawnSync } from "node:child_process";
import { existsSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { npmCi } from "./setup/npm-ci.mjs";
import { readPackages } from "./setup/packages.mjs";
import { createProgress } from "./setup/progress.mjs";
import { setupLock } from "./setup/setup-lock.mjs";

const neededNode = 24;
const oldestNode = 20;
const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const signalCodes = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 };
// Ctrl-C under npm comes twice: from the terminal, and passed on by npm. A person takes longer to ask again.
const sameSignalMs = 500;
const lookEveryMs = 250;

const clock = {
  monotonicMs() {
    const [seconds, nanoseconds] = process.hrtime();
    return seconds * 1000 + nanoseconds / 1000000;
  },
  after(delayMs, callback) {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  },
};
const progress = createProgress({
  write: (text) => void process.stderr.write(text),
  terminal: process.stderr.isTTY === true && process.env.TERM !== "dumb",
  columns: () => process.stderr.columns || 80,
  clock,
});
const packages = readPackages(root);
const lock = setupLock(join(root, ".carillon"));
let npm;

let interrupted;

void main();

async function main() {
  if (major(process.version) < oldestNode) {
    fail(
      `Carillon needs Node ${oldestNode} or newer to install itself, and this is ${process.version}: ` +
        `install Node ${neededNode} (https://nodejs.org, or "nvm install" in this folder) and start again.`,
    );
  }
  if (major(process.version) < neededNode && !packages.bringsNode()) {
    fail(
      `Carillon runs on Node ${neededNode}, this is ${process.version}, and no package brings one for ` +
        `${process.platform}-${process.arch}: install Node ${neededNode} (https://nodejs.org) and start again.`,
    );
  }
  const tools = process.argv.includes("--tools") || packages.hasTools();
  if (!packages.installed(tools)) await installOnce(tools);
  checkNode();
}

async function installOnce(tools) {
  listenForSignals();
  try {
    let waiting;
    while (!lock.take()) {
      waiting = waiting || progress.begin("waiting for another start that installs the packages");
      await pause(lookEveryMs);
    }
    if (waiting) waiting.end();
    // Another start may have installed everything while this one waited.
    if (!packages.installed(tools)) await install(tools);
  } catch (error) {
    if (!error.code) throw error;
    fail(`${error.path || root} cannot be written (${error.code}): ${adviceOn(error.code)}.`);
  }
  lock.release();
}

async function install(tools) {
  packages.forget();
  progress.write("installing the packages, once ...\n");
  const count = packages.count(tools);
  const step = progress.begin("installing packages", `0 of ${count} fetched`);
  npm = npmCi({ root, tools, packages: count, step, after: clock.after });
  const parent = process.ppid;
  let unwatch = () => {};
  const watchParent = () => {
    // npm was killed without a word to us: nobody waits for what comes.
    if (process.ppid !== parent) end("SIGHUP");
    else unwatch = clock.after(lookEveryMs, watchParent);
  };
  watchParent();
  const problem = await npm.ended;
  unwatch();
  step.end();
  if (interrupted) leave();
  if (problem) fail(problem);
  packages.note(tools);
}

function listenForSignals() {
  for (const name of Object.keys(signalCodes)) process.on(name, () => end(name));
}

function end(name) {
  const nowMs = clock.monotonicMs();
  if (interrupted) {
    if (nowMs - interrupted.atMs < sameSignalMs) return;
    if (npm) npm.kill();
    leave();
  }
  interrupted = { name, atMs: nowMs };
  if (!npm) leave();
  progress.begin("stopping npm");
  npm.stop();
}

function leave() {
  lock.release();
  progress.begin("").end();
  progress.write("stopped: the packages are not installed; the next start does that.\n");
  process.exit(signalCodes[interrupted.name]);
}

/** npm puts node_modules/.bin first on the path of its scripts: a Node there is the one that runs. */
function checkNode() {
  const local = join(root, "node_modules", ".bin", "node");
  let found = process.version;
  if (existsSync(local)) {
    const { error, status, stdout } = spawnSync(local, ["--version"], { encoding: "utf8" });
    // Built for another C library than this machine has. It would stand in the way of the machine's own.
    if (error || status !== 0) rmSync(local, { force: true });
    else found = stdout.trim();
  }
  if (major(found) >= neededNode) return;
  fail(
    `Carillon runs on Node ${neededNode}, this is ${found}, and the one that the packages bring does not run here: ` +
      `install Node ${neededNode} (https://nodejs.org) and start again.`,
  );
}

function adviceOn(code) {
  if (code === "ENOSPC" || code === "EDQUOT") return "the disk is full: make room and start again";
  return "the packages are installed into this folder: make it writable for this user, or clone it to where it is";
}

function major(version) {
  return Number(version.replace(/^v/, "").split(".")[0]);
}

function pause(ms) {
  return new Promise((resolve) => clock.after(ms, resolve));
}

function fail(message) {
  lock.release();
  progress.begin("").end();
  console.error(message);
  process.exit(1);
}
