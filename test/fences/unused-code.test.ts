import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, expect, it } from "vitest";
import { program } from "../support/checks.ts";
import { repositoryDir } from "../support/nats.ts";
import { createPlantedCopy, type PlantedCopy } from "../support/planted-copy.ts";

/** What was found in a file, by kind. */
type Issue = { file: string } & Record<string, { name: string }[]>;

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
  const { issues } = JSON.parse(output) as { issues: Issue[] };
  const found = issues.flatMap(({ file, ...kinds }) =>
    Object.entries(kinds).flatMap(([kind, names]) => names.map(({ name }) => `${file}: ${kind} ${name}`)),
  );
  expect(found.sort()).toEqual([
    "package.json: dependencies ms",
    "services/newcomer/part.ts: exports unusedExport",
    "services/newcomer/unused-file.ts: files services/newcomer/unused-file.ts",
    "test/support/unused-support.ts: files test/support/unused-support.ts",
  ]);
});
