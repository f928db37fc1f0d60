import { dirname, relative } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { importDirections } from "../support/checks.ts";
import { createPlantedCopy, type PlantedCopy } from "../support/planted-copy.ts";

/**
 * A file that is planted, what it imports (a path from the root, or a package or
 * builtin as one writes it), and the one rule that must fire.
 */
type Violation = readonly [file: string, imported: string, rule: string];

// `newcomer` stands for each service that is yet to come: no rule has heard of it.
const violations: readonly Violation[] = [
  ["services/newcomer/a.ts", "services/registry/store/contract.ts", "no-service-imports-another"],
  ["services/newcomer/b.ts", "services/launcher/config.ts", "no-service-imports-another"],
  ["services/newcomer/c.ts", "services/console/page.ts", "no-service-imports-another"],
  ["services/registry/a.ts", "services/newcomer/jobs.ts", "no-service-imports-another"],
  ["services/newcomer/room/d.ts", "services/newcomer/main.ts", "main-is-an-entry"],
  ["test/support/a.ts", "services/ticker/main.ts", "main-is-an-entry"],
  ["test/support/e.ts", "services/beside.ts", "every-file-in-a-room"],
  ["services/domain/a.ts", "node:fs", "domain-is-pure"],
  ["services/domain/b.ts", "nats", "domain-is-pure"],
  ["services/domain/c.ts", "services/platform/process/clock.ts", "domain-is-pure"],
  ["services/domain/d.ts", "gen/carillon/v1/job_pb.ts", "domain-is-pure"],
  ["services/ticker/core/a.ts", "nats", "core-is-pure"],
  ["services/newcomer/core/b.ts", "services/newcomer/jobs.ts", "core-is-pure"],
  ["services/ticker/core/c.ts", "node:events", "core-is-pure"],
  ["services/ticker/core/d.ts", "services/wire/subjects.ts", "core-knows-messages-by-type"],
  ["services/platform/rpc/a.ts", "gen/carillon/v1/job_pb.ts", "platform-knows-no-jobs"],
  ["services/platform/process/b.ts", "services/domain/schedule/schedule.ts", "platform-knows-no-jobs"],
  ["services/platform/jetstream/c.ts", "services/wire/subjects.ts", "platform-knows-no-jobs"],
  ["services/wire/a.ts", "services/newcomer/jobs.ts", "wire-below-services"],
  ["services/wire/b.ts", "services/launcher/config.ts", "wire-below-services"],
  ["services/launcher/a.ts", "services/newcomer/jobs.ts", "launcher-starts-processes"],
  ["services/launcher/b.ts", "gen/carillon/v1/job_pb.ts", "launcher-starts-processes"],
  ["services/launcher/c.ts", "services/wire/streams.ts", "launcher-starts-processes"],
  ["services/console/a.ts", "services/platform/process/clock.ts", "clients-know-the-contract-only"],
  ["services/cli/b.ts", "services/domain/schedule/schedule.ts", "clients-know-the-contract-only"],
  ["services/newcomer/f.ts", "better-sqlite3", "sql-in-stores-only"],
  ["services/newcomer/g.ts", "services/platform/sql/sqlite.ts", "sql-in-stores-only"],
  ["services/newcomer/h.ts", "node:sqlite", "sql-in-stores-only"],
  ["services/platform/process/d.ts", "better-sqlite3", "sql-in-stores-only"],
  ["services/newcomer/i.ts", "services/newcomer/store/sqlite/jobs.ts", "engines-behind-the-contract"],
  ["services/newcomer/s.ts", "services/newcomer/store/mysql/jobs.ts", "engines-behind-the-contract"],
  ["services/newcomer/room/t.ts", "nats", "broker-behind-the-platform"],
  ["services/platform/process/e.ts", "nats", "broker-behind-the-platform"],
  ["services/domain/schedule/schedule-rig.ts", "node:fs", "domain-is-pure"],
  ["services/newcomer/core/fixtures/e.ts", "node:fs", "core-is-pure"],
  ["services/newcomer/mock-clock.ts", "test/support/ledger.ts", "product-imports-product"],
  ["services/newcomer/testing/helper.ts", "vitest", "product-needs-no-dev-packages"],
  ["services/newcomer/jobs-rig.ts", "vitest", "product-needs-no-dev-packages"],
  ["services/newcomer/j.ts", "test/support/ledger.ts", "product-imports-product"],
  ["services/newcomer/k.ts", "test/support/schedule-oracle.ts", "product-imports-product"],
  ["services/newcomer/l.ts", "vitest.config.ts", "product-imports-product"],
  ["services/newcomer/m.ts", "services/newcomer/jobs.test.ts", "no-test-in-product"],
  ["gen/a.ts", "services/newcomer/jobs.ts", "generated-code-stands-alone"],
  ["services/newcomer/p.ts", "ms", "declared-packages-only"],
  ["services/newcomer/q.ts", "yaml", "product-needs-no-dev-packages"],
  ["services/newcomer/r.ts", "services/newcomer/nowhere.ts", "unresolvable"],
];

/** The same, of types alone: knowledge crosses a border with them as well. */
const typeViolations: readonly Violation[] = [
  ["services/newcomer/types.ts", "services/registry/store/contract.ts", "no-service-imports-another"],
  ["services/domain/types.ts", "nats", "domain-is-pure"],
  ["services/platform/types.ts", "gen/carillon/v1/job_pb.ts", "platform-knows-no-jobs"],
  ["services/cli/types.ts", "nats", "clients-know-the-contract-only"],
  ["services/newcomer/sql.ts", "services/platform/sql/sqlite.ts", "sql-in-stores-only"],
];

/** What looks alike and is right. */
const allowed: readonly (readonly [file: string, imported: string])[] = [
  ["services/newcomer/service.ts", "services/newcomer/store/sqlite/jobs.ts"],
  ["services/newcomer/deep/room/a.ts", "services/newcomer/jobs.ts"],
  ["services/newcomer/ok-domain.ts", "services/domain/schedule/schedule.ts"],
  ["services/newcomer/ok-platform.ts", "services/platform/process/clock.ts"],
  ["services/newcomer/ok-wire.ts", "services/wire/subjects.ts"],
  ["services/newcomer/ok-gen.ts", "gen/carillon/v1/job_pb.ts"],
  ["services/newcomer/ok-builtin.ts", "node:fs"],
  ["services/newcomer/store/ok-driver.ts", "better-sqlite3"],
  ["services/newcomer/store/sqlite/ok-sql.ts", "services/platform/sql/sqlite.ts"],
  ["services/platform/jetstream/ok.ts", "nats"],
  ["services/newcomer/nats.test.ts", "nats"],
  ["services/newcomer/ok.test.ts", "test/support/ledger.ts"],
  ["services/newcomer/core/ok.ts", "services/domain/schedule/schedule.ts"],
  ["services/platform/ok.ts", "gen/google/rpc/code_pb.ts"],
  ["services/domain/ok.ts", "croner"],
  ["services/console/ok.ts", "gen/carillon/v1/job_pb.ts"],
];

/** Of types alone, too. */
const allowedTypes: readonly (readonly [file: string, imported: string])[] = [["services/newcomer/ok-nats.ts", "nats"]];

/** What the planted files import, where this repository has no such file. */
const targets = [
  "services/beside.ts",
  "services/console/page.ts",
  "services/newcomer/main.ts",
  "services/newcomer/jobs.ts",
  "services/newcomer/jobs.test.ts",
  "services/newcomer/store/mysql/jobs.ts",
  "services/newcomer/store/sqlite/jobs.ts",
];

/** Two files that know each other by their types only. */
const circle = {
  "services/newcomer/hen.ts": 'import type { Egg } from "./egg.ts";\nexport interface Hen {\n  egg: Egg;\n}\n',
  "services/newcomer/egg.ts": 'import type { Hen } from "./hen.ts";\nexport interface Egg {\n  hen: Hen;\n}\n',
};

function isPath(imported: string): boolean {
  return /^(services|test|gen)\/|[.]ts$/.test(imported);
}

function specifierOf(file: string, imported: string): string {
  if (!isPath(imported)) return imported;
  const path = relative(dirname(file), imported);
  return path.startsWith(".") ? path : `./${path}`;
}

const importValue = ([file, imported]: readonly string[]) =>
  [file, `import * as planted from "${specifierOf(file ?? "", imported ?? "")}";\nconsole.log(planted);\n`] as const;
const importType = ([file, imported]: readonly string[]) =>
  [
    file,
    `import type * as planted from "${specifierOf(file ?? "", imported ?? "")}";\nexport type P = typeof planted;\n`,
  ] as const;

describe("the import rules", () => {
  let copy: PlantedCopy | undefined;
  afterEach(async () => {
    await copy?.remove();
    copy = undefined;
  });

  it("refuse each planted violation, by its own rule, and nothing else", async () => {
    copy = await createPlantedCopy(["services", "test", "gen", "vitest.config.ts"], {
      ...Object.fromEntries(targets.map((path) => [path, "export const planted = 1;\n"])),
      ...Object.fromEntries([...violations, ...allowed].map(importValue)),
      ...Object.fromEntries([...typeViolations, ...allowedTypes].map(importType)),
      ...circle,
    });
    const { ok, output } = await importDirections(copy.root);
    const found = output.split("\n").map((line) => line.replace(/ -> .*$/, ""));
    const expected = [...violations, ...typeViolations].map(([file, , rule]) => `${rule}: ${file}`);
    expect(found.sort()).toEqual([...expected, "no-cycles: services/newcomer/egg.ts"].sort());
    expect(ok).toBe(false);
  });

  it("are not taken for kept where no import was seen", async () => {
    copy = await createPlantedCopy([], {
      "services/newcomer/a.ts": "export const alone = 1;\n",
      "test/a.ts": "export const alone = 1;\n",
      "gen/a.ts": "export const alone = 1;\n",
    });
    expect(await importDirections(copy.root)).toMatchObject({ ok: false });
  });
});
