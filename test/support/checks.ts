import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

export interface CheckResult {
  ok: boolean;
  /** Shown when the check failed. */
  output: string;
}

const longestOutputBytes = 64 * 1024 * 1024;

/** Passes when the program, one of node_modules/.bin, ends with exit code 0. */
export async function program(cwd: string, name: string, args: readonly string[]): Promise<CheckResult> {
  try {
    const { stdout } = await run(join(cwd, "node_modules/.bin", name), [...args], {
      cwd,
      maxBuffer: longestOutputBytes,
      // buf finds its plugin on the path.
      env: { ...process.env, PATH: `${join(cwd, "node_modules/.bin")}:${process.env.PATH ?? ""}`, NO_COLOR: "1" },
    });
    return { ok: true, output: stdout };
  } catch (error) {
    const { stdout = "", stderr = "", message = "" } = error as { stdout?: string; stderr?: string; message?: string };
    return { ok: false, output: `${stdout}${stderr}` || message };
  }
}

/** Generates the code again, elsewhere, and compares: what is committed must be what the contract says. */
export async function generatedIsCurrent(root: string, workDir: string): Promise<CheckResult> {
  const generated = join(workDir, "gen");
  const template = join(workDir, "buf.gen.yaml");
  const original = await readFile(join(root, "buf.gen.yaml"), "utf8");
  await writeFile(template, original.replace(/^(\s*out: )gen$/m, `$1${generated}`));
  const made = await program(root, "buf", ["generate", "--template", template]);
  if (!made.ok) return made;
  // The docs page takes its comments from this image: they are not in the code.
  const image = ["build", "proto", "--exclude-imports", "-o", join(generated, "carillon.binpb")];
  const built = await program(root, "buf", image);
  if (!built.ok) return built;
  try {
    await run("diff", ["-ru", join(root, "gen"), generated], { maxBuffer: longestOutputBytes });
    return { ok: true, output: "" };
  } catch (error) {
    const { stdout = String(error) } = error as { stdout?: string };
    return { ok: false, output: `gen/ is not what the proto files say; run: npm run gen\n${stdout}` };
  }
}

/** The arguments of knip that let it look at the product alone. */
export const productionKnip = ["--no-progress", "--production", "--config", "knip.production.jsonc"];

/** The layer rules. Seeing no TypeScript at all is a failure too: the tool then says that all is well. */
export async function importDirections(root: string): Promise<CheckResult> {
  const cruise = await program(root, "depcruise", ["services", "test", "gen", "--output-type", "json"]);
  let report: CruiseReport;
  try {
    report = JSON.parse(cruise.output) as CruiseReport;
  } catch {
    return { ok: false, output: cruise.output };
  }
  const ours = report.modules.filter(({ source }) => source.startsWith("services/") && source.endsWith(".ts"));
  const edges = ours.reduce((sum, { dependencies }) => sum + dependencies.length, 0);
  if (ours.length === 0 || edges === 0) {
    return { ok: false, output: "no imports between TypeScript modules were seen: does this TypeScript work with it?" };
  }
  const errors = report.summary.violations.filter(({ rule }) => rule.severity === "error");
  return {
    ok: errors.length === 0,
    output: errors.map(({ rule, from, to }) => `${rule.name}: ${from} -> ${to}`).join("\n"),
  };
}

interface CruiseReport {
  modules: { source: string; dependencies: unknown[] }[];
  summary: { violations: { rule: { name: string; severity: string }; from: string; to: string }[] };
}
