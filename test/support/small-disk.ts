import { execFile } from "node:child_process";
import { closeSync, mkdirSync, openSync, rmSync, statSync, writeSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** A file system of its own, in memory, so small that a test can fill it. */
export interface SmallDisk {
  /** Takes all that is left, to the last byte. */
  fill(): void;
  /** Gives back what was taken. */
  free(): void;
  unmount(): Promise<void>;
}

/** Whether this process may mount one: root may, elsewhere these tests are left out. */
export const canMount = process.getuid?.() === 0;

const mib = 1024 ** 2;

export async function mountSmallDisk(folder: string, sizeMib = 64): Promise<SmallDisk> {
  mkdirSync(folder, { recursive: true });
  await run("mount", ["-t", "tmpfs", "-o", `size=${sizeMib}m`, "tmpfs", folder]);
  const filler = join(folder, "filler");
  return {
    fill() {
      const file = openSync(filler, "a");
      // What others write meanwhile takes from it as well: until not a byte fits.
      for (let bytes = mib; bytes >= 1; ) {
        try {
          writeSync(file, new Uint8Array(bytes));
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
          bytes = Math.floor(bytes / 2);
        }
      }
      closeSync(file);
      if (statSync(filler).size === 0) throw new Error(`${folder} was full already`);
    },
    free: () => rmSync(filler, { force: true }),
    unmount: async () => void (await run("umount", ["-l", folder])),
  };
}
