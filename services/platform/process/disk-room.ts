import { statfs } from "node:fs/promises";

/** A file system, as far as it matters to whoever writes to it. */
export interface Disk {
  totalBytes: number;
  /** That this process may still write. */
  freeBytes: number;
}

/** `low`: somebody should make room. `none`: what is written next may fail. */
export type DiskRoom = "enough" | "low" | "none";

const gib = 1024 ** 3;
// Shares of the disk; of a large one less is enough, since nothing here grows by more in an hour.
const low = { share: 0.15, bytes: 3 * gib };
const none = { share: 0.05, bytes: gib };

/** The file system that holds this path. Rejects when there is no such path. */
export async function readDisk(path: string): Promise<Disk> {
  const { bsize, blocks, bavail } = await statfs(path);
  return { totalBytes: blocks * bsize, freeBytes: bavail * bsize };
}

export function roomOf({ totalBytes, freeBytes }: Disk): DiskRoom {
  const below = ({ share, bytes }: typeof low) => freeBytes < Math.min(totalBytes * share, bytes);
  if (below(none)) return "none";
  return below(low) ? "low" : "enough";
}
