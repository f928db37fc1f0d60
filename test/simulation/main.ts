import { runScenario, type Weather } from "./scenario.ts";

// node test/simulation/main.ts [first seed] [how many]: runs seeds and tells what failed.
const first = Number(process.argv[2] ?? 1);
const count = Number(process.argv[3] ?? 1);
const totals: Record<Weather, { runs: number; published: number; repeats: number; unmarked: number }> = {
  calm: { runs: 0, published: 0, repeats: 0, unmarked: 0 },
  rolling: { runs: 0, published: 0, repeats: 0, unmarked: 0 },
  storm: { runs: 0, published: 0, repeats: 0, unmarked: 0 },
};
const changes = { edits: 0, pauses: 0, deletions: 0 };
let failed = 0;
for (let seed = first; seed < first + count; seed++) {
  const report = runScenario(seed);
  const { weather, failures, published, repeats, unmarkedRepeats } = report;
  for (const kind of ["edits", "pauses", "deletions"] as const) changes[kind] += report.changes[kind];
  const total = totals[weather];
  total.runs++;
  total.published += published;
  total.repeats += repeats;
  total.unmarked += unmarkedRepeats;
  if (failures.length === 0) continue;
  failed++;
  if (failed <= 10) console.log(`seed ${seed} (${weather}):\n  ${failures.slice(0, 4).join("\n  ")}`);
}
console.table(totals);
console.log(changes);
console.log(`${failed} of ${count} seeds failed`);
process.exitCode = failed > 0 ? 1 : 0;
