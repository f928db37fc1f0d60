import { readFile, stat } from "node:fs/promises";
import type { Clock } from "../process/clock.ts";

/** A small file that others change now and then, parsed anew when it has changed. */
export interface WatchedFile<T> {
  /** As it is now, or was a second ago. A file that cannot be read counts as empty. */
  read(): Promise<T>;
}

const lookEveryMs = 1_000;

export function createWatchedFile<T>(path: string, parse: (text: string) => T, clock: Clock): WatchedFile<T> {
  let parsed = parse("");
  let version: string | undefined;
  let lookedAtMs = Number.NEGATIVE_INFINITY;
  let looking: Promise<void> | undefined;

  const look = async () => {
    try {
      // Asked before it is read: a change in between is found by the next look.
      const { mtimeMs, ctimeMs, size, ino } = await stat(path);
      const now = `${mtimeMs} ${ctimeMs} ${size} ${ino}`;
      if (now === version) return;
      parsed = parse(await readFile(path, "utf8"));
      version = now;
    } catch {
      parsed = parse("");
      version = undefined;
    } finally {
      lookedAtMs = clock.monotonicMs();
      looking = undefined;
    }
  };

  return {
    async read() {
      if (clock.monotonicMs() - lookedAtMs >= lookEveryMs) {
        looking ??= look();
        await looking;
      }
      return parsed;
    },
  };
}
