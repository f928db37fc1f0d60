import { tmpdir } from "node:os";
import { describe, expect, it } from "vitest";
import { readDisk, roomOf } from "./disk-room.ts";

const mib = 1024 ** 2;
const gib = 1024 ** 3;

describe("the room on a disk", () => {
  it.each([
    [64 * mib, 10 * mib, "enough"],
    [64 * mib, 9 * mib, "low"],
    [64 * mib, 4 * mib, "low"],
    [64 * mib, 3 * mib, "none"],
    [64 * mib, 0, "none"],
    // 15 % of it are 300 GiB.
    [2_000 * gib, 4 * gib, "enough"],
    [2_000 * gib, 2 * gib, "low"],
    [2_000 * gib, gib - 1, "none"],
  ])("of %i bytes with %i free: %s", (totalBytes, freeBytes, room) => {
    expect(roomOf({ totalBytes, freeBytes })).toBe(room);
  });

  it("is read of the file system that holds a path", async () => {
    const { totalBytes, freeBytes } = await readDisk(tmpdir());
    expect(totalBytes).toBeGreaterThan(freeBytes);
    expect(freeBytes).toBeGreaterThan(0);
    await expect(readDisk("/no/such/path")).rejects.toThrow(/ENOENT/);
  });
});
