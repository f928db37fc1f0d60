import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { makeFolder } from "./make-folder.ts";

describe("a folder", () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "carillon-folder-"));
  });
  afterEach(() => rmSync(dir, { recursive: true }));

  it("is made with those above it, and may be there already", () => {
    const path = join(dir, "a/b/c");
    makeFolder(path);
    makeFolder(path);
    expect(statSync(path).isDirectory()).toBe(true);
  });

  it("that cannot be made says so, instead of trying for ever", () => {
    expect(() => makeFolder("/proc/nope/run")).toThrow(/ENOENT.*\/proc\/nope/);
  });

  it("is not made below or in place of a file", () => {
    writeFileSync(join(dir, "file"), "");
    expect(() => makeFolder(join(dir, "file"))).toThrow("EEXIST");
    expect(() => makeFolder(join(dir, "file/a"))).toThrow(/EEXIST|ENOTDIR/);
  });
});
