// Runs npm ci, shows how far it is, and lets itself be interrupted. Plain JavaScript, no packages, no new syntax.
import { spawn } from "node:child_process";
import { explainNpmFailure, readNpmLine } from "./npm-words.mjs";

const windows = process.platform === "win32";
// npm rolls back what it can when it is asked to end.
const patienceMs = 2000;
// The end of its output is where npm says why it failed.
const keptChars = 200000;

/**
 * @param {{
 *   root: string,
 *   tools: boolean, // With what only developers need.
 *   packages: number, // How many there are to be, for the progress.
 *   step: import("./progress.mjs").Step,
 *   after: (delayMs: number, callback: () => void) => () => void,
 * }} options
 * @returns {{ ended: Promise<string | undefined>, stop(): void, kill(): void }} `ended` resolves, when npm is gone,
 * with what went wrong.
 */
export function npmCi({ root, tools, packages, step, after }) {
  // With the optional packages: Node itself is among them. No package needs its
  // install script: npm would compile better-sqlite3, which brings its binaries
  // along, because the lock cannot tell it not to. Its log tells how far it is.
  const scope = tools ? "--include=dev" : "--omit=dev";
  const args = ["ci", scope, "--include=optional", "--ignore-scripts", "--loglevel=http", "--no-update-notifier"];
  // npm run hands its own settings down as npm_config_*; `omit` would win over `include`.
  const env = { ...process.env, NODE_ENV: tools ? "development" : "production" };
  for (const name of Object.keys(env)) {
    if (/^npm_config_(omit|include|only|also|dev|production|optional|loglevel|silent)$/i.test(name)) delete env[name];
  }
  // A group of its own: Ctrl-C in the terminal reaches this process only, which then ends npm once.
  const child = spawn("npm", args, {
    cwd: root,
    env,
    stdio: ["ignore", "pipe", "pipe"],
    shell: windows,
    detached: !windows,
  });
  let output = "";
  let rest = "";
  let fetched = 0;
  const read = (text) => {
    output = (output + text).slice(-keptChars);
    const lines = (rest + text).split("\n");
    rest = lines.pop() || "";
    for (const line of lines) {
      const news = readNpmLine(line);
      if (!news) continue;
      if (news.kind === "package") fetched++;
      const waiting = news.kind === "retry" ? `, ${news.host} does not answer (${news.code})` : "";
      step.say(`${Math.min(fetched, packages)} of ${packages} fetched${waiting}`);
    }
  };
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", read);

  const signal = (name) => {
    try {
      if (windows) child.kill(name);
      else process.kill(-child.pid, name);
    } catch {
      // It ended in between, or never began.
    }
  };
  const ended = new Promise((resolve) => {
    child.once("error", (error) => {
      resolve(`npm cannot be run (${error.message}): install it beside Node, so that it stands on the PATH.`);
    });
    child.once("close", (code) => resolve(code === 0 ? undefined : explainNpmFailure(output, root)));
  });
  return {
    ended,
    stop() {
      signal("SIGTERM");
      const cancel = after(patienceMs, () => signal("SIGKILL"));
      void ended.then(cancel);
    },
    kill: () => signal("SIGKILL"),
  };
}
