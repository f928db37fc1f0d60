import { glob, readFile } from "node:fs/promises";
import { join } from "node:path";

/** What the command line asks for. */
export interface TestChoice {
  /** Only the static checks. */
  onlyStatic: boolean;
  watch: boolean;
  /** Parts of paths, as vitest takes them; a line may follow after a colon. */
  filters: readonly string[];
  /** Those and all else, for vitest. */
  vitestArgs: readonly string[];
}

/** Pure, and done in seconds. */
const unitTests = "services/";
/** Vitest's options whose value is no path. */
const nameFlags: ReadonlySet<string> = new Set(["-t", "--testNamePattern", "--project"]);

export function readTestChoice(args: readonly string[]): TestChoice {
  const watch = args.includes("--watch");
  const vitestArgs = args.filter((arg) => arg !== "--static" && arg !== "--watch");
  const filters = vitestArgs.filter(
    (arg, index) => !arg.startsWith("-") && !nameFlags.has(vitestArgs[index - 1] ?? ""),
  );
  // Nobody wants to see whole systems start at each keystroke.
  if (watch && filters.length === 0) {
    filters.push(unitTests);
    vitestArgs.push(unitTests);
  }
  return { onlyStatic: args.includes("--static"), watch, filters, vitestArgs };
}

/** All test files, as paths from the root. */
export async function findTestFiles(root: string): Promise<string[]> {
  const files: string[] = [];
  for await (const file of glob(["services/**/*.test.ts", "test/**/*.test.ts"], { cwd: root })) files.push(file);
  return files;
}

/** Those whose path has the filter in it. */
export function filesOf(filter: string, files: readonly string[], root: string): string[] {
  const part = filter
    .replace(/:\d+$/, "")
    .replace(`${root}/`, "")
    .replace(/^[.]\//, "");
  return files.filter((file) => file.includes(part));
}

/** Whether one of the files opens pages. */
export async function needsBrowser(root: string, files: readonly string[]): Promise<boolean> {
  for (const file of files) {
    if ((await readFile(join(root, file), "utf8")).includes("support/browser.ts")) return true;
  }
  return false;
}
