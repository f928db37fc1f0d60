import { accessSync, constants, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeFolder } from "../platform/process/make-folder.ts";
import { takeFileLock } from "../platform/sql/file-lock.ts";
import { folderComplaint } from "./folder-complaint.ts";

/** What the launcher keeps in the data folder; each service keeps its own files beside it. */
export interface DataDir {
  readonly path: string;
  readonly natsConfigFile: string;
  readonly natsStoreDir: string;
  readonly binDir: string;
  /** The process id that was noted last under this name. */
  readPid(name: string): number | undefined;
  writePid(name: string, pid: number): void;
  removePid(name: string): void;
  /** For tools and tests: where this instance listens. */
  writeAddresses(addresses: unknown): void;
  removeAddresses(): void;
  /** Gives the folder free for another launcher. Idempotent. */
  release(): void;
}

/**
 * Makes the data folder and takes it for this process alone. Throws when another
 * launcher holds it.
 */
export function openDataDir(path: string): DataDir {
  const runDir = join(path, "run");
  const pidFile = (name: string) => join(runDir, `${name}.pid`);
  const addressesFile = join(runDir, "addresses.json");
  try {
    makeFolder(runDir);
    // What another user has made in it as well: a service would find that much later.
    for (const name of readdirSync(path)) accessSync(join(path, name), constants.W_OK);
    replaceFile(join(runDir, "writable"), "\n");
  } catch (error) {
    throw new Error(folderComplaint("CARILLON_DATA_DIR", path, error));
  }
  const readPid = (name: string) => {
    try {
      const pid = Number(readFileSync(pidFile(name), "utf8"));
      return Number.isInteger(pid) && pid > 1 ? pid : undefined;
    } catch {
      return undefined;
    }
  };
  const lock = takeFileLock(join(runDir, "launcher.lock"));
  if (!lock) {
    const holder = readPid("launcher");
    const who = holder === undefined ? "another launcher" : `another launcher (process ${holder})`;
    throw new Error(`the data folder ${path} is in use by ${who}; stop it, or set CARILLON_DATA_DIR to another folder`);
  }
  return {
    path,
    natsConfigFile: join(runDir, "nats.conf"),
    natsStoreDir: join(path, "nats"),
    binDir: join(path, "bin"),
    readPid,
    writePid: (name, pid) => replaceFile(pidFile(name), `${pid}\n`),
    removePid: (name) => rmSync(pidFile(name), { force: true }),
    writeAddresses: (addresses) => replaceFile(addressesFile, `${JSON.stringify(addresses, null, 2)}\n`),
    removeAddresses: () => rmSync(addressesFile, { force: true }),
    release: lock.release,
  };
}

/** Whoever reads meanwhile sees the old content or the new one, never a part. */
function replaceFile(file: string, content: string): void {
  writeFileSync(`${file}.new`, content);
  renameSync(`${file}.new`, file);
}
