import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { repositoryDir } from "./nats.ts";

/** What the code consists of, by path, and what decides how it is checked. */
const settings = [
  "package.json",
  "tsconfig.json",
  ".dependency-cruiser.cjs",
  "eslint.config.js",
  "knip.jsonc",
  "knip.production.jsonc",
  "buf.gen.yaml",
];

export interface PlantedCopy {
  /** The root of the copy. Its packages are this repository's own. */
  readonly root: string;
  remove(): Promise<void>;
}

/**
 * A copy of this repository, or of some of its folders, with files planted in
 * it by path: the checks run there as they run here, and nobody's files change.
 */
export async function createPlantedCopy(
  folders: readonly string[],
  planted: Readonly<Record<string, string>>,
): Promise<PlantedCopy> {
  const root = await mkdtemp(join(tmpdir(), "carillon-planted-"));
  for (const path of [...settings, ...folders]) {
    await cp(join(repositoryDir, path), join(root, path), { recursive: true });
  }
  await symlink(join(repositoryDir, "node_modules"), join(root, "node_modules"));
  for (const [path, text] of Object.entries(planted)) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), text);
  }
  return { root, remove: () => rm(root, { recursive: true, force: true }) };
}
