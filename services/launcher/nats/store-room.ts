import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { leastBrokerBytes } from "../../platform/process/common-settings.ts";
import { type Disk, readDisk } from "../../platform/process/disk-room.ts";

export interface StoreRoom {
  /** What all streams together may take: the services share it out among them. */
  streamsBytes: number;
  /**
   * What the server itself allows. It is never in the way: a server that allows less
   * than its streams were promised before lets nobody change them, not even to promise less.
   */
  serverBytes: number;
}

const mib = 1024 ** 2;
// The other half is for the registry, for history, and for whoever else uses the disk.
const shareOfDisk = 0.5;
const mostBytes = 64 * 1024 ** 3;

/** How much the streams in this folder may take: what is asked for, or half of what its disk can give. */
export async function storeRoom(storeDir: string, askedBytes: number | undefined): Promise<StoreRoom> {
  return roomOnDisk(await readDisk(storeDir), await bytesIn(storeDir), askedBytes);
}

/** `takenBytes`: by the streams already, which are given it again. */
export function roomOnDisk(disk: Disk, takenBytes: number, askedBytes: number | undefined): StoreRoom {
  const half = Math.floor(((disk.freeBytes + takenBytes) * shareOfDisk) / mib) * mib;
  const streamsBytes = askedBytes ?? Math.max(leastBrokerBytes, Math.min(half, mostBytes));
  return { streamsBytes, serverBytes: Math.max(disk.totalBytes, streamsBytes) };
}

async function bytesIn(folder: string): Promise<number> {
  let bytes = 0;
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (entry.isFile())
      bytes += await stat(join(entry.parentPath, entry.name)).then(
        ({ size }) => size,
        () => 0,
      );
  }
  return bytes;
}
