import Database from "better-sqlite3";
import { expect, it } from "vitest";
import { createDice } from "../../../../test/simulation/random.ts";
import { idOf } from "../../../../test/support/registry-store-rows.ts";
import type { Label } from "../named-jobs.ts";
import { createLabelRows } from "./label-rows.ts";
import { migrations } from "./migrations.ts";

const names = ["a", "b", "c"];

function openLabels(mostSeeks: number) {
  const db = new Database(":memory:");
  for (const step of migrations) {
    if (typeof step === "string") db.exec(step);
    else step(db);
  }
  return createLabelRows(db, mostSeeks);
}

it.each(
  Array.from({ length: 30 }, (_, seed) => seed),
)("finds the jobs that have all labels, however early a look ends (seed %i)", (seed) => {
  const dice = createDice(seed);
  const rows = openLabels(dice.between(3, 9));
  const jobs = Array.from({ length: 60 }, (_, number) => ({
    jobId: idOf(number),
    labels: names.filter(() => dice.chance(0.6)).map((name): Label => [name, dice.pick(["1", "2"])]),
  }));
  for (const { jobId, labels } of jobs) rows.add(jobId, labels);
  const asked = names.slice(0, dice.between(1, 3)).map((name): Label => [name, dice.pick(["1", "2"])]);
  const matches = jobs.filter(({ labels }) =>
    asked.every(([name, value]) => labels.some(([n, v]) => n === name && v === value)),
  );
  const found: string[] = [];
  const limit = dice.between(1, 5);
  for (let afterId = "", goesOn = true; goesOn; ) {
    const page = rows.find(asked, afterId, limit);
    expect(page.jobIds.length).toBeLessThanOrEqual(limit);
    // Each look comes further, or there is no end to it.
    expect(page.lastId > afterId || !page.goesOn).toBe(true);
    found.push(...page.jobIds);
    ({ lastId: afterId, goesOn } = page);
  }
  expect(found).toEqual(matches.map(({ jobId }) => jobId));
});
