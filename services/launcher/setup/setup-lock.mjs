// Two starts in one clone must not install on top of each other. Plain JavaScript, no packages, no new syntax.
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/**
 * A lock is a folder: mkdir succeeds for one of them only. It names its holder, so that a dead one's counts no more.
 *
 * @param {string} stateDir Not node_modules: npm ci empties it.
 */
export function setupLock(stateDir) {
  const lockDir = join(stateDir, "setup.lock");
  const pidFile = join(lockDir, "pid");
  const holder = () => {
    try {
      return Number(readFileSync(pidFile, "utf8"));
    } catch {
      return undefined;
    }
  };
  let nameless = false;

  return {
    /** True when it is this process's now. Throws when the folder cannot be written. */
    take() {
      mkdirSync(stateDir, { recursive: true });
      try {
        mkdirSync(lockDir);
        writeFileSync(pidFile, String(process.pid));
        return true;
      } catch (error) {
        if (error.code !== "EEXIST") throw error;
      }
      const pid = holder();
      // Just made, and its holder about to write its name; by the next look it must be there.
      const abandoned = pid ? !isAlive(pid) : nameless;
      nameless = !pid && existsSync(lockDir);
      if (abandoned) rmSync(lockDir, { recursive: true, force: true });
      return false;
    },
    release() {
      if (holder() === process.pid) rmSync(lockDir, { recursive: true, force: true });
    },
  };
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code !== "ESRCH";
  }
}
