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

const syntax = "no-restricted-syntax";
const globals = "no-restricted-globals";
const imports = "no-restricted-imports";

const clockViolations: readonly Violation[] = [
  ["console.log(Date.now());", syntax],
  ['console.log(Date["now"]());', syntax],
  ["export const { now } = Date;", syntax],
  ["const D = Date; console.log(new D());", syntax],
  ["console.log(new Date());", syntax],
  ["console.log(new Date(...[]));", syntax],
  ["console.log(Date());", syntax],
  ["console.log(Reflect.construct(Date, []));", syntax],
  ["export class Today extends Date {}", syntax],
  ["console.log(new Intl.DateTimeFormat().format());", syntax],
  ["console.log(performance.now());", syntax],
  ["const p = performance; console.log(p.now());", syntax],
  ["console.log(process.hrtime.bigint());", syntax],
  ["console.log(process.uptime());", syntax],
  ["const p = process; console.log(p.hrtime());", syntax],
  ["const { hrtime } = process; console.log(hrtime());", syntax],
  ["console.log(Math.random());", syntax],
  ["const m = Math; console.log(m.random());", syntax],
  ["const { random } = Math; console.log(random());", syntax],
  ["setTimeout(() => {}, 1);", globals],
  ["setInterval(() => {}, 1);", globals],
  ["setImmediate(() => {});", globals],
  ["globalThis.setTimeout(() => {}, 1);", globals],
  ["global.setTimeout(() => {}, 1);", globals],
  ["self.setTimeout(() => {}, 1);", globals],
  ["const g = globalThis; g.setTimeout(() => {}, 1);", globals],
  ["const { setTimeout: wait } = globalThis; wait(() => {}, 1);", globals],
  ["console.log(globalThis.Date.now());", globals],
  ["console.log(new globalThis.Date());", globals],
  ["console.log(globalThis.performance.now());", globals],
  ["console.log(globalThis.process.hrtime());", globals],
  ["console.log(globalThis.Math.random());", globals],
  ["console.log(Temporal.Now.instant());", globals],
  ['console.log(eval("1"));', globals],
  ['console.log(new Function("return 1")());', globals],
  ["console.log(crypto.randomUUID());", globals],
  ["console.log(crypto.getRandomValues(new Uint8Array(1)));", globals],
  ['export { randomUUID } from "node:crypto";', imports],
  ['export * as crypto from "node:crypto";', imports],
  ['import bytes from "node:crypto"; console.log(bytes.randomBytes(1));', imports],
  ['import { setTimeout as wait } from "node:timers/promises"; await wait(1);', imports],
  ['import { setImmediate as soon } from "node:timers"; soon(() => {});', imports],
  ['import { setTimeout as wait } from "timers/promises"; await wait(1);', imports],
  ['import { hrtime } from "node:process"; console.log(hrtime());', imports],
  ['import { performance as p } from "node:perf_hooks"; console.log(p.now());', syntax],
  ['import { performance } from "node:perf_hooks"; console.log(performance.now());', syntax],
  ['import * as hooks from "node:perf_hooks"; console.log(hooks.performance.now());', imports],
  ['import { uptime } from "node:os"; console.log(uptime());', imports],
  ['import * as os from "node:os"; console.log(os.uptime());', imports],
  ['import os from "node:os"; console.log(os.uptime());', imports],
  ['import { v7 } from "uuid"; export const id = v7();', syntax],
  ['import { v7 } from "uuid"; export const id = v7({ msecs: 1 });', syntax],
  ['import { v7 as id } from "uuid"; export const ids = [id()];', syntax],
  ['import { v7 } from "uuid"; export const ids = [1].map(v7 as () => string);', syntax],
  ['import { v4 } from "uuid"; export const id = v4();', imports],
  ['import { systemClock } from "../../platform/process/clock.ts"; console.log(systemClock.nowMs());', imports],
  ['import { systemRandom as dice } from "../../platform/process/clock.ts"; console.log(dice());', imports],
  ['import * as clock from "../../platform/process/clock.ts"; console.log(clock.systemClock);', imports],
];

/** Imports that the import rules do not see. */
const unseenImports: readonly Violation[] = [
  ['console.log(await import("node:crypto"));', syntax],
  ['console.log(await import("node:timers/promises"));', syntax],
  ['const path = "../jobs.ts"; console.log(await import(path));', syntax],
  ['import { createRequire } from "node:module"; console.log(createRequire("/")("ms"));', imports],
  ['console.log(process.getBuiltinModule("node:fs"));', syntax],
  ['import { Worker } from "node:worker_threads"; console.log(new Worker("../registry/main.ts"));', imports],
  ['import { runInThisContext } from "node:vm"; console.log(runInThisContext("1"));', imports],
];

const coreViolations: readonly Violation[] = [
  ["console.log(1);", globals],
  ["export const env = process.env;", globals],
  ["export const now = Date.now();", syntax],
  ['export { systemClock } from "../../platform/process/clock.ts";', imports],
  ['export const answer = await fetch("http://a.test/");', globals],
];

const allowed: readonly string[] = [
  "await work();",
  "void work();",
  "console.log(new Date(0), Date.parse(''), Date.UTC(2026), Math.floor(1), process.pid);",
  "export const at = (date: Date): boolean => (date as unknown) instanceof Date;",
  "export const running = { process: 1, Date: 2 }; console.log(running.process, running.Date);",
  "console.log(new Intl.DateTimeFormat().format(0));",
  "queueMicrotask(() => {}); process.nextTick(() => {});",
  'import { performance } from "node:perf_hooks"; console.log(performance.eventLoopUtilization());',
  'import { hostname } from "node:os"; console.log(hostname());',
  'import { type Clock, sleep } from "../../platform/process/clock.ts"; export const nap = (c: Clock) => sleep(c, 1);',
  'import { v7 } from "uuid"; export const id = v7({ msecs: 1, seq: 1, random: new Uint8Array(16) });',
  'import { createHash } from "node:crypto"; console.log(createHash("sha256"));',
];

/** One violation a file: imports stand at its head, whatever comes before them. */
const filesOf = (folder: string, lines: readonly string[]) =>
  Object.fromEntries(lines.map((line, index) => [`${folder}/case-${index}.ts`, `${line}\n${promises}\nexport {};\n`]));

const untimely = "console.log(Date.now());\nsetTimeout(() => {}, 1);\n";
const takesTheSystems = 'import { systemClock } from "../clock.ts";\nconsole.log(systemClock);\n';

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
      ...filesOf(
        "services/newcomer/unseen",
        unseenImports.map(([code]) => code),
      ),
      ...filesOf(
        "services/domain/pure",
        coreViolations.map(([code]) => code),
      ),
      ...filesOf(
        "services/newcomer/core",
        coreViolations.map(([code]) => code),
      ),
      ...filesOf("services/newcomer/allowed", allowed),
      "services/newcomer/excused.ts": "// eslint-disable-next-line\nconsole.log(Date.now());\n",
      "services/newcomer/other.mts": `${untimely}Promise.resolve(1);\nexport {};\n`,
      "services/newcomer/plain.mjs": `${untimely}Promise.resolve(1);\nexport {};\n`,
      "services/newcomer/main.ts": takesTheSystems,
      "services/newcomer/config.ts": takesTheSystems,
      "test/simulation/a.ts": "console.log(Math.random(), Date.now());\n",
      "test/contract/a.ts": "export const random = Math.random;\n",
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
    ["services/newcomer/unseen", unseenImports],
    ["services/domain/pure", coreViolations],
    ["services/newcomer/core", coreViolations],
  ] as const)("refuse each violation planted in %s, by its own rule", (folder, violations) => {
    const fired = violations.map(([code], index) => [code, found.get(`${folder}/case-${index}.ts`)]);
    expect(fired).toEqual(violations.map(([code, rule]) => [code, [rule]]));
  });

  it("have nothing against what looks alike and is right", () => {
    const fired = allowed.map((line, index) => [line, found.get(`services/newcomer/allowed/case-${index}.ts`)]);
    expect(fired).toEqual(allowed.map((line) => [line, []]));
  });

  it("hold in each kind of file, and whatever a comment says", () => {
    expect(found.get("services/newcomer/excused.ts")).toContain(syntax);
    for (const file of ["other.mts", "plain.mjs"]) {
      const fired = [syntax, globals, "@typescript-eslint/no-floating-promises"];
      expect(found.get(`services/newcomer/${file}`)).toEqual(fired);
    }
  });

  it("give the clock of the system to whoever starts a process, and to nobody else", () => {
    expect(found.get("services/newcomer/main.ts")).toEqual([]);
    expect(found.get("services/newcomer/config.ts")).toEqual([imports]);
  });

  it("leave nothing to unseeded chance where a failure has to be found again", () => {
    expect(found.get("test/simulation/a.ts")).toEqual([syntax]);
    expect(found.get("test/contract/a.ts")).toEqual([syntax]);
  });

  it("leave time to tests, and to the one file that is the clock", () => {
    expect(found.get("services/newcomer/a.test.ts")).toEqual([]);
    expect(found.get("test/a.ts")).toEqual([]);
    expect(found.get("services/platform/process/clock.ts")).toEqual([]);
    expect(found.get("services/platform/process/other.ts")).toHaveLength(2);
  });
});
