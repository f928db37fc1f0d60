import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import pLimit from "p-limit";
import { ensureBrowser } from "./support/browser.ts";
import { type CheckResult, generatedIsCurrent, importDirections, productionKnip, program } from "./support/checks.ts";
import { filesOf, findTestFiles, needsBrowser, readTestChoice } from "./support/test-choice.ts";

// `npm test`: the static checks, then every test. `--static` leaves the tests
// out. Whoever names tests, by path or by vitest's options, gets those alone
// and at once; `--watch` runs them again with each change.

const root = resolve(import.meta.dirname, "..");
const choice = readTestChoice(process.argv.slice(2));
const everything = choice.vitestArgs.length === 0 && !choice.watch;

let passed = true;
if (choice.onlyStatic || everything) passed = await runChecks();
// The tests run all the same: whoever broke a format wants to know what else broke.
if (!choice.onlyStatic && !(await runTests())) passed = false;
process.exitCode = passed ? 0 : 1;

async function runChecks(): Promise<boolean> {
  const workDir = await mkdtemp(join(tmpdir(), "carillon-checks-"));
  const baseline = "proto/baseline.binpb";
  // The longest first: so they share the processors best.
  const checks: readonly (readonly [string, () => Promise<CheckResult>])[] = [
    ["promises, time and chance", () => program(root, "eslint", ["--max-warnings", "0", "."])],
    ["types", () => program(root, "tsc", ["--noEmit", "-p", "."])],
    ["import directions", () => importDirections(root)],
    ["generated code", () => generatedIsCurrent(root, workDir)],
    ["unused code", () => program(root, "knip", ["--no-progress", "--treat-config-hints-as-errors"])],
    ["what tests alone use", () => program(root, "knip", [...productionKnip, "--treat-config-hints-as-errors"])],
    ["format and lint", () => program(root, "biome", ["check", "--error-on-warnings", "."])],
    ["proto lint", () => program(root, "buf", ["lint"])],
    ["proto breaking changes", () => program(root, "buf", ["breaking", "proto", "--against", baseline])],
  ];
  const limit = pLimit(availableParallelism());
  try {
    const results = await Promise.all(checks.map(([name, check]) => limit(() => runCheck(name, check))));
    return results.every((ok) => ok);
  } finally {
    await rm(workDir, { recursive: true, force: true });
  }
}

async function runCheck(name: string, check: () => Promise<CheckResult>): Promise<boolean> {
  const startedAt = process.hrtime.bigint();
  const { ok, output } = await check();
  const seconds = (Number(process.hrtime.bigint() - startedAt) / 1e9).toFixed(1);
  console.log(`${ok ? "ok    " : "FAILED"}  ${name} (${seconds} s)`);
  if (!ok) console.log(output.trimEnd().replaceAll(/^/gm, "        "));
  return ok;
}

async function runTests(): Promise<boolean> {
  const { watch, filters, vitestArgs } = choice;
  const all = await findTestFiles(root);
  const unknown = filters.filter((filter) => filesOf(filter, all, root).length === 0);
  if (unknown.length > 0) {
    console.error(`no test file has this in its path: ${unknown.join(", ")}`);
    return false;
  }
  const chosen = filters.length === 0 ? all : filters.flatMap((filter) => filesOf(filter, all, root));
  if (await needsBrowser(root, chosen)) await ensureBrowser((line) => console.log(line));
  return new Promise((done) => {
    const args = [watch ? "watch" : "run", ...vitestArgs];
    const vitest = spawn(join(root, "node_modules/.bin/vitest"), args, { cwd: root, stdio: "inherit" });
    // Ctrl-C reaches vitest too: it ends first, and this process tells its answer.
    process.on("SIGINT", () => {});
    process.on("SIGTERM", () => vitest.kill("SIGTERM"));
    vitest.on("error", (error) => {
      console.error(error.message);
      done(false);
    });
    vitest.on("exit", (code) => done(code === 0));
  });
}
