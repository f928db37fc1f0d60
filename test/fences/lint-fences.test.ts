import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { program } from "../support/checks.ts";
import { createPlantedCopy, type PlantedCopy } from "../support/planted-copy.ts";

interface LintedFile {
  filePath: string;
  messages: { ruleId: string | null; line: number }[];
}

/** A line of code, and the one rule that must fire on it. */
type Violation = readonly [code: string, rule: string];

const promises = "declare const work: () => Promise<number>; declare const take: (callback: () => void) => void;";
const promiseViolations: readonly Violation[] = [
  ["work();", "@typescript-eslint/no-floating-promises"],
  ["work().then(() => 1);", "@typescript-eslint/no-floating-promises"],
  ["[1, 2].map(() => work());", "@typescript-eslint/no-floating-promises"],
  ["take(async () => {});", "@typescript-eslint/no-misused-promises"],
  ["if (work()) console.log(1);", "@typescript-eslint/no-misused-promises"],
  ["console.log({ ...work() });", "@typescript-eslint/no-misused-promises"],
  ["await (1 as number);", "@typescript-eslint/await-thenable"],
  ['switch ("a" as "a" | "b") { case "a": break; }', "@typescript-eslint/switch-exhaustiveness-check"],
];

const clockViolations: readonly Violation[] = [
  ["console.log(Date.now());", "no-restricted-properties"],
  ['console.log(Date["now"]());', "no-restricted-properties"],
  ["export const { now } = Date;", "no-restricted-properties"],
  ["console.log(performance.now());", "no-restricted-properties"],
  ["console.log(process.hrtime.bigint());", "no-restricted-properties"],
  ["console.log(Math.random());", "no-restricted-properties"],
  ["console.log(new Date());", "no-restricted-syntax"],
  ["console.log(Date());", "no-restricted-syntax"],
  ["setTimeout(() => {}, 1);", "no-restricted-globals"],
  ["setInterval(() => {}, 1);", "no-restricted-globals"],
  ["setImmediate(() => {});", "no-restricted-globals"],
  ["globalThis.setTimeout(() => {}, 1);", "no-restricted-globals"],
  ["console.log(crypto.randomUUID());", "no-restricted-globals"],
  ["console.log(crypto.getRandomValues(new Uint8Array(1)));", "no-restricted-globals"],
  ['export { randomUUID } from "node:crypto";', "no-restricted-imports"],
  ['export * as crypto from "node:crypto";', "no-restricted-imports"],
  ['import bytes from "node:crypto"; console.log(bytes.randomBytes(1));', "no-restricted-imports"],
  ['import { setTimeout as wait } from "node:timers/promises"; await wait(1);', "no-restricted-imports"],
  ['import { setImmediate as soon } from "node:timers"; soon(() => {});', "no-restricted-imports"],
  ['import { hrtime } from "node:process"; console.log(hrtime());', "no-restricted-imports"],
];

const allowed: readonly string[] = [
  "await work();",
  "void work();",
  "console.log(new Date(0), Date.parse(''), Math.floor(1), process.pid);",
  'import { createHash } from "node:crypto"; console.log(createHash("sha256"));',
];

/** One violation a file: imports stand at its head, whatever comes before them. */
const filesOf = (folder: string, lines: readonly string[]) =>
  Object.fromEntries(lines.map((line, index) => [`${folder}/case-${index}.ts`, `${line}\n${promises}\nexport {};\n`]));

const untimely = "console.log(Date.now());\nsetTimeout(() => {}, 1);\n";

describe("the lint rules", () => {
  let copy: PlantedCopy;
  /** The rules that fired, by file. */
  let found: ReadonlyMap<string, (string | null)[]>;

  beforeAll(async () => {
    const everywhere = promiseViolations.map(([code]) => code);
    copy = await createPlantedCopy([], {
      ...filesOf("services/newcomer/promises", everywhere),
      ...filesOf("test/promises", everywhere),
      ...filesOf(
        "services/newcomer/clock",
        clockViolations.map(([code]) => code),
      ),
      ...filesOf("services/newcomer/allowed", allowed),
      "services/newcomer/a.test.ts": untimely,
      "test/a.ts": untimely,
      "services/platform/process/clock.ts": untimely,
      "services/platform/process/other.ts": untimely,
    });
    const { output } = await program(copy.root, "eslint", ["--format", "json", "."]);
    const files = JSON.parse(output) as LintedFile[];
    found = new Map(
      files.map(({ filePath, messages }) => [
        filePath.slice(copy.root.length + 1),
        messages.map(({ ruleId }) => ruleId),
      ]),
    );
  });
  afterAll(() => copy.remove());

  it.each([
    ["services/newcomer/promises", promiseViolations],
    ["test/promises", promiseViolations],
    ["services/newcomer/clock", clockViolations],
  ] as const)("refuse each violation planted in %s, by its own rule", (folder, violations) => {
    const fired = violations.map(([code], index) => [code, found.get(`${folder}/case-${index}.ts`)]);
    expect(fired).toEqual(violations.map(([code, rule]) => [code, [rule]]));
  });

  it("have nothing against what looks alike and is right", () => {
    const fired = allowed.map((_, index) => found.get(`services/newcomer/allowed/case-${index}.ts`));
    expect(fired).toEqual(allowed.map(() => []));
  });

  it("leave time to tests, and to the one file that is the clock", () => {
    expect(found.get("services/newcomer/a.test.ts")).toEqual([]);
    expect(found.get("test/a.ts")).toEqual([]);
    expect(found.get("services/platform/process/clock.ts")).toEqual([]);
    expect(found.get("services/platform/process/other.ts")).toHaveLength(2);
  });
});
