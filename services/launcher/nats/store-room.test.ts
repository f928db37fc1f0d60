import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { roomOnDisk, storeRoom } from "./store-room.ts";

const mib = 1024 ** 2;
const gib = 1024 ** 3;

describe("what the streams may take of a disk", () => {
  it("is half of what is free or taken by them already, in whole MiB", () => {
    const disk = { totalBytes: 100 * gib, freeBytes: 30 * gib + 5 };
    expect(roomOnDisk(disk, 10 * gib, undefined)).toEqual({ streamsBytes: 20 * gib, serverBytes: 100 * gib });
  });

  it("is no less than what the streams need, and no more than a large backlog takes", () => {
    expect(roomOnDisk({ totalBytes: gib, freeBytes: 0 }, 0, undefined).streamsBytes).toBe(8 * mib);
    expect(roomOnDisk({ totalBytes: 900 * gib, freeBytes: 900 * gib }, 0, undefined).streamsBytes).toBe(64 * gib);
  });

  it("is what is asked for, also where the disk is smaller", () => {
    expect(roomOnDisk({ totalBytes: gib, freeBytes: gib }, 0, 3 * gib)).toEqual({
      streamsBytes: 3 * gib,
      serverBytes: 3 * gib,
    });
  });

  it("counts what lies in the folder", async () => {
    const folder = await mkdtemp(join(tmpdir(), "carillon-room-"));
    const without = await storeRoom(folder, undefined);
    await mkdir(join(folder, "a/b"), { recursive: true });
    await writeFile(join(folder, "a/b/c"), new Uint8Array(10 * mib));
    const asked = await storeRoom(folder, 9 * mib);
    await rm(folder, { recursive: true });
    expect(without.streamsBytes).toBeGreaterThanOrEqual(8 * mib);
    expect(asked.streamsBytes).toBe(9 * mib);
  });
});
