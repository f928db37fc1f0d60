// Which packages are there, and which are to be. Plain JavaScript, no packages, no new syntax.
import { createHash } from "node:crypto";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** @param {string} root */
export function readPackages(root) {
  const modules = join(root, "node_modules");
  // Inside node_modules: whoever deletes that deletes the stamp with it.
  const stampFile = join(modules, ".carillon-lock-hash");
  const lockText = readFileSync(join(root, "package-lock.json"), "utf8");
  const lockHash = createHash("sha256").update(lockText).digest("hex");
  const lock = JSON.parse(lockText);
  const withoutTools = `${lockHash} without tools`;
  const stamp = () => {
    try {
      return readFileSync(stampFile, "utf8");
    } catch {
      return undefined;
    }
  };

  return {
    /** Whether what the lock names is there, with what only developers need or without. */
    installed(tools) {
      const now = stamp();
      return now === lockHash || (!tools && now === withoutTools);
    },
    /** Whether a developer has worked here: their tools are renewed, and never taken away. */
    hasTools() {
      const tools = Object.entries(lock.packages).filter(
        ([path, entry]) => entry.dev && path.startsWith("node_modules/"),
      );
      return tools.some(([path]) => existsSync(join(root, path)));
    },
    /** How many are fetched on this machine. */
    count(tools) {
      const fits = ({ os, cpu }) => has(os, process.platform) && has(cpu, process.arch);
      const entries = Object.entries(lock.packages).filter(([path]) => path.includes("node_modules/"));
      return entries.filter(([, entry]) => !entry.link && fits(entry) && (tools || !entry.dev)).length;
    },
    /** Whether a package brings a Node for this machine. */
    bringsNode: () => `node_modules/node-${process.platform}-${process.arch}` in lock.packages,
    note: (tools) => writeFileSync(stampFile, tools ? lockHash : withoutTools),
    // Before npm ci, which takes away one file after another: interrupted, it would leave the word that all is there.
    forget: () => rmSync(stampFile, { force: true }),
  };
}

function has(allowed, value) {
  return allowed === undefined || [].concat(allowed).includes(value);
}
