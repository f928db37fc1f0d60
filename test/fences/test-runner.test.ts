import { execFile } from "node:child_process";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { repositoryDir } from "../support/nats.ts";
import { filesOf, findTestFiles, needsBrowser, readTestChoice } from "../support/test-choice.ts";

/** `npm test -- ARGS`, without npm. */
function run(...args: string[]): Promise<{ code: number | null; output: string }> {
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("VITEST")));
  return new Promise((done) => {
    const child = execFile(
      process.execPath,
      [join(repositoryDir, "test/run.ts"), ...args],
      { cwd: repositoryDir, env: { ...env, NO_COLOR: "1" } },
      (_error, stdout, stderr) => done({ code: child.exitCode, output: stdout + stderr }),
    );
  });
}

describe("the test runner", () => {
  it("runs a file that is named at once, without the checks", async () => {
    const file = "services/domain/delivery/outcome.test.ts";
    const { code, output } = await run(file);
    expect(code).toBe(0);
    expect(output).toContain(file);
    expect(output).not.toContain("import directions");
    expect(output).toMatch(/Test Files +1 passed \(1\)/);
  });

  it("fails on a name that no test has, also beside one that does", async () => {
    const { code, output } = await run("services/domain/delivery/outcome.test.ts", "no-such-test");
    expect(code).toBe(1);
    expect(output.trim()).toBe("no test file has this in its path: no-such-test");
  });

  it("tells paths from options and their values", () => {
    const choose = (...args: string[]) => readTestChoice(args).filters;
    expect(choose("a.test.ts", "-t", "some name", "--bail=1", "b.test.ts:12")).toEqual(["a.test.ts", "b.test.ts:12"]);
    expect(choose("--project", "system")).toEqual([]);
    expect(readTestChoice(["--static"])).toEqual({ onlyStatic: true, watch: false, filters: [], vitestArgs: [] });
  });

  it("watches the unit tests, or what is named", () => {
    expect(readTestChoice(["--watch"]).vitestArgs).toEqual(["services/"]);
    expect(readTestChoice(["--watch", "test/contract"]).vitestArgs).toEqual(["test/contract"]);
  });

  it("finds files by parts of their paths, from wherever these are written", async () => {
    const files = ["services/domain/a.test.ts", "test/contract/a.test.ts"];
    const find = (filter: string) => filesOf(filter, files, "/clone");
    expect(find("a.test.ts")).toEqual(files);
    expect(find("./test/contract")).toEqual(["test/contract/a.test.ts"]);
    expect(find("/clone/services/domain/a.test.ts:7")).toEqual(["services/domain/a.test.ts"]);
    expect(await findTestFiles(repositoryDir)).toContain("test/fences/test-runner.test.ts");
  });

  it("wants a browser only for tests that open pages", async () => {
    const all = await findTestFiles(repositoryDir);
    const pages = filesOf("test/browser/", all, repositoryDir);
    expect(pages.length).toBeGreaterThan(0);
    expect(await needsBrowser(repositoryDir, pages)).toBe(true);
    expect(await needsBrowser(repositoryDir, filesOf("test/integration/", all, repositoryDir))).toBe(false);
  });
});
