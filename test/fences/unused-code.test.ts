import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, expect, it } from "vitest";
import { productionKnip, program } from "../support/checks.ts";
import { repositoryDir } from "../support/nats.ts";
import { createPlantedCopy, type PlantedCopy } from "../support/planted-copy.ts";

/** What was found in a file, by kind. */
type Issue = { file: string } & Record<string, { name: string }[]>;

/** `file: kind name` of each. */
function namesIn(output: string): string[] {
  const { issues } = JSON.parse(output) as { issues: Issue[] };
  const names = issues.flatMap(({ file, ...kinds }) =>
    Object.entries(kinds).flatMap(([kind, found]) => found.map(({ name }) => `${file}: ${kind} ${name}`)),
  );
  return names.sort();
}

let copy: PlantedCopy | undefined;
afterEach(async () => {
  await copy?.remove();
  copy = undefined;
});

it("a file, an export and a package that nobody uses are found, and nothing else", async () => {
  const manifest = JSON.parse(await readFile(join(repositoryDir, "package.json"), "utf8"));
  manifest.dependencies.ms = "2.1.3";
  copy = await createPlantedCopy(["services", "test", "gen", "vitest.config.ts"], {
    "package.json": JSON.stringify(manifest),
    "services/newcomer/main.ts": 'import { used } from "./part.ts";\nconsole.log(used);\n',
    "services/newcomer/part.ts": "export const used = 1;\nexport const unusedExport = 2;\n",
    "services/newcomer/unused-file.ts": "export const alone = 1;\n",
    "test/support/unused-support.ts": "export const alone = 1;\n",
  });
  const { ok, output } = await program(copy.root, "knip", ["--no-config-hints", "--reporter", "json"]);
  expect(ok).toBe(false);
  expect(namesIn(output)).toEqual([
    "package.json: dependencies ms",
    "services/newcomer/part.ts: exports unusedExport",
    "services/newcomer/unused-file.ts: files services/newcomer/unused-file.ts",
    "test/support/unused-support.ts: files test/support/unused-support.ts",
  ]);
});

it("what tests alone use is found in the product, and nothing else", async () => {
  copy = await createPlantedCopy(["services", "test", "gen", "vitest.config.ts"], {
    "services/newcomer/main.ts": 'import { used } from "./part.ts";\nconsole.log(used);\n',
    "services/newcomer/part.ts": "export const part = 1;\nexport const used = part + 1;\nexport const forTests = 2;\n",
    "services/newcomer/mock-clock.ts": "export const mock = 1;\n",
    "services/newcomer/part.test.ts":
      'import { mock } from "./mock-clock.ts";\nimport { forTests, part } from "./part.ts";\nconsole.log(mock, forTests, part);\n',
  });
  const { ok, output } = await program(copy.root, "knip", [
    ...productionKnip,
    "--no-config-hints",
    "--reporter",
    "json",
  ]);
  expect(ok).toBe(false);
  expect(namesIn(output)).toEqual([
    "services/newcomer/mock-clock.ts: files services/newcomer/mock-clock.ts",
    "services/newcomer/part.ts: exports forTests",
  ]);
});
