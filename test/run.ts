import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { ensureBrowser } from "./support/browser.ts";
import { type CheckResult, generatedIsCurrent, importDirections, program } from "./support/checks.ts";

// `npm test`: the static checks, then every test. `--static` leaves the tests
// out; other arguments are vitest's, to choose among them.

const root = resolve(import.meta.dirname, "..");
const args = process.argv.slice(2);
const onlyStatic = args.includes("--static");
const chosen = args.filter((arg) => arg !== "--static");

const workDir = await mkdtemp(join(tmpdir(), "carillon-checks-"));
let failed: boolean;
try {
  failed = !(await runChecks());
} finally {
  await rm(workDir, { recursive: true, force: true });
}
// The tests run all the same: whoever broke a format wants to know what else broke.
if (!onlyStatic && !(await runTests())) failed = true;
process.exitCode = failed ? 1 : 0;

async function runChecks(): Promise<boolean> {
  const baseline = "proto/baseline.binpb";
  const checks: readonly (readonly [string, () => Promise<CheckResult>])[] = [
    ["types", () => program(root, "tsc", ["--noEmit", "-p", "."])],
    ["format and lint", () => program(root, "biome", ["check", "--error-on-warnings", "."])],
    ["proto lint", () => program(root, "buf", ["lint"])],
    ["proto breaking changes", () => program(root, "buf", ["breaking", "proto", "--against", baseline])],
    ["generated code", () => generatedIsCurrent(root, workDir)],
    ["import directions", () => importDirections(root)],
  ];
  let passed = true;
  for (const [name, check] of checks) {
    const startedAt = process.hrtime.bigint();
    const { ok, output } = await check();
    const seconds = (Number(process.hrtime.bigint() - startedAt) / 1e9).toFixed(1);
    console.log(`${ok ? "ok    " : "FAILED"}  ${name} (${seconds} s)`);
    if (!ok) console.log(output.trimEnd().replaceAll(/^/gm, "        "));
    passed &&= ok;
  }
  return passed;
}

async function runTests(): Promise<boolean> {
  await ensureBrowser((line) => console.log(line));
  return new Promise((done) => {
    const vitest = spawn("vitest", ["run", ...chosen], { cwd: root, stdio: "inherit" });
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
