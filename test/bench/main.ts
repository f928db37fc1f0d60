import { writeFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { measureNeighbours, type NeighbourResult, neighbours } from "./neighbours.ts";
import { type Rig, startRig, stopAll } from "./rig.ts";
import {
  type BurstResult,
  type CreatesResult,
  findSustained,
  type LatenessResult,
  measureBurst,
  measureCreates,
  measureLateness,
} from "./scenarios.ts";

/**
 * `npm run bench`: starts the whole system and a fast local target on this
 * machine, measures, and prints a table and then the same as JSON.
 *
 *   npm run bench                       everything, about 6 minutes
 *   npm run bench -- --only lateness    one part: lateness, burst, creates, sustained (repeatable)
 *   npm run bench -- --only neighbours  what bad neighbours take from others; not part of everything, about 15 minutes
 *           --neighbour NAME            one of them (repeatable); --seconds N: how long each stays (60)
 *   npm run bench -- --json FILE        writes the JSON there as well
 */
const parts = ["lateness", "burst", "creates", "sustained", "neighbours"] as const;
const { values } = parseArgs({
  options: {
    only: { type: "string", multiple: true, default: parts.filter((part) => part !== "neighbours") },
    neighbour: { type: "string", multiple: true, default: Object.keys(neighbours) },
    seconds: { type: "string", default: "60" },
    json: { type: "string" },
  },
});
const unknown = values.only.filter((part) => !parts.some((known) => known === part));
if (unknown.length > 0) {
  console.error(`--only: expected one of ${parts.join(", ")}, got ${unknown.join(", ")}`);
  process.exit(2);
}
const wants = (part: (typeof parts)[number]) => values.only.includes(part);
const log = (line: string) => console.error(line);

// So many callers share the fsyncs of their creates, as the clients of a busy registry do.
const callers = 256;
// Before it is measured: a registry that has just started compiles its hot path.
const createWarmUpSeconds = 3;
const farSchedule = "0 0 0 1 1 *";

const results: Record<string, unknown> = { node: process.version };

/** What was measured so far, as tables and then as JSON. */
async function print(): Promise<void> {
  const { lateness, burst, creates, sustained, neighbours: rows } = results as Partial<Results>;
  if (lateness) console.table(lateness.map(({ cpuUsPerExecution, rssMb, ...row }) => row));
  if (burst) console.table(burst);
  if (creates) {
    const { unary, batch } = creates;
    console.table({ unary, batch }, ["createsPerSecond", "relayedAfterMs"]);
    console.table({ unary: unary.cpuUsPerCreate, batch: batch.cpuUsPerCreate });
  }
  if (sustained) {
    const { cpuUsPerExecution, rssMb, ...row } = sustained;
    console.table([row]);
    console.table({ "CPU µs an execution": cpuUsPerExecution, "RSS MB": rssMb });
  }
  if (rows) {
    console.table(rows.map(({ rssMb, ...row }) => row));
    console.table(Object.fromEntries(rows.map(({ neighbour, rssMb }) => [neighbour, rssMb])));
  }
  const json = JSON.stringify(results, null, 2);
  console.log(json);
  if (values.json) await writeFile(values.json, `${json}\n`);
}

interface Results {
  lateness: LatenessResult[];
  burst: BurstResult[];
  sustained: LatenessResult;
  creates: Record<"unary" | "batch", CreatesResult>;
  neighbours: NeighbourResult[];
}

let interrupted = false;
async function endEarly(code: number): Promise<void> {
  interrupted = true;
  await print();
  await stopAll();
  process.exit(code);
}
process.once("SIGINT", () => void endEarly(130));
process.once("SIGTERM", () => void endEarly(143));

try {
  await measureAll();
} catch (error) {
  if (!interrupted) throw error;
  // What is stopped under its hands cannot be measured: whoever stops it ends this process.
  await new Promise(() => undefined);
}
await print();

async function measureAll(): Promise<void> {
  if (wants("neighbours")) {
    const rows: NeighbourResult[] = [];
    results.neighbours = rows;
    await measureNeighbours(values.neighbour, Number(values.seconds), log, (row) => rows.push(row));
  }
  if (parts.some((part) => part !== "neighbours" && wants(part))) await measureRest();
}

async function measureRest(): Promise<void> {
  const rig = await startRig();
  try {
    await measureParts(rig);
  } finally {
    await rig.stop();
  }
}

async function measureParts(rig: Rig): Promise<void> {
  if (wants("lateness")) {
    const rows: LatenessResult[] = [];
    results.lateness = rows;
    for (const perSecond of [1_000, 2_000]) {
      log(`lateness at ${perSecond} a second`);
      rows.push(await measureLateness(rig, perSecond, 20));
    }
  }
  if (wants("burst")) {
    const rows: BurstResult[] = [];
    results.burst = rows;
    for (const occurrences of [10_000, 50_000]) {
      log(`${occurrences} on one second`);
      rows.push(await measureBurst(rig, occurrences));
    }
  }
  if (wants("sustained")) {
    log("the highest sustained rate");
    results.sustained = await findSustained(rig, {
      from: 10_000,
      step: 2_500,
      to: 40_000,
      probeSeconds: 8,
      holdSeconds: 30,
      log,
    });
  }
  if (wants("creates")) {
    log("creates");
    const { unary, batch } = rig.creates(farSchedule);
    await measureCreates(rig, createWarmUpSeconds, callers, unary);
    results.creates = {
      unary: await measureCreates(rig, 5, callers, unary),
      batch: await measureCreates(rig, 5, 2, batch),
    };
  }
}
