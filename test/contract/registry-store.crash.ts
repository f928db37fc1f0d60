import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { expect, it } from "vitest";
import { lanes, type RegistryStore } from "../../services/registry/store/contract.ts";
import { type RegistryEngine, registryStoreWriter, useStore } from "../support/registry-engine.ts";
import { type Answered, batchOf, listAll, takeAll } from "../support/registry-store-rows.ts";

const rounds = 4;
const answersARound = 150;

/** What a store has after the process that wrote to it was killed, in the middle of whatever it did. */
export function crashSuite(engine: RegistryEngine): void {
  const rig = useStore(engine);

  it("has after a kill -9 all that was answered, and of the rest each call in full or not at all", async () => {
    const answered: Answered[] = [];
    for (let round = 0; round < rounds; round++) {
      await rig.store.stop();
      answered.push(...(await writeAndKill(engine, rig.place, round)));
      await rig.reopen();
      await expectAnswered(rig.store, answered);
      await expectWholeCalls(await rig.reopen());
    }
    for (const kind of ["created", "changed", "ran", "receipt"]) {
      expect(
        answered.some((one) => one.kind === kind),
        kind,
      ).toBe(true);
    }
  });
}

/** Kills the writer after so many answers; resolves with those that came through. */
async function writeAndKill(engine: RegistryEngine, place: string, round: number): Promise<Answered[]> {
  const child: ChildProcess = spawn(process.execPath, [registryStoreWriter, engine.module, place, String(round)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = once(child, "exit");
  const answered: Answered[] = [];
  if (!child.stdout) throw new Error("the writer has no output");
  for await (const line of createInterface({ input: child.stdout })) {
    // The last line may be cut off.
    if (!line.endsWith("}")) continue;
    answered.push(JSON.parse(line) as Answered);
    if (answered.length === answersARound * (round + 1)) child.kill("SIGKILL");
  }
  const [, signal] = await exited;
  expect(signal).toBe("SIGKILL");
  return answered;
}

async function expectAnswered(store: RegistryStore, answered: readonly Answered[]): Promise<void> {
  const jobs = new Map((await listAll(store)).map((row) => [row.jobId, row]));
  const runs = new Set((await takeAll(store)).map(({ run }) => run?.executionId));
  const lost: Answered[] = [];
  for (const one of answered) {
    const there = {
      opened: () => true,
      created: () => one.kind === "created" && one.jobIds.every((jobId) => jobs.has(jobId)),
      changed: () => one.kind === "changed" && (jobs.get(one.jobId)?.generation ?? 0) >= one.generation,
      ran: () => one.kind === "ran" && runs.has(one.executionId),
      receipt: () => one.kind === "receipt" && jobs.get(one.jobId)?.timingSequence === one.sequence,
    }[one.kind];
    if (!there()) lost.push(one);
  }
  expect(lost).toEqual([]);
}

async function expectWholeCalls(store: RegistryStore): Promise<void> {
  const jobs = await listAll(store);
  const entries = await takeAll(store);
  const toPublish = (jobId: string, change: boolean) =>
    entriesOf.get(jobId)?.filter(({ run, key }) => !run && (key.lane === lanes.change) === change).length ?? 0;
  const entriesOf = Map.groupBy(entries, ({ jobId }) => jobId);
  // A change adds one entry, and a created job has its entry until it has its sequence.
  expect(jobs.filter((row) => toPublish(row.jobId, true) !== row.generation - 1)).toEqual([]);
  expect(jobs.filter((row) => toPublish(row.jobId, false) !== (row.timingSequence === 0 ? 1 : 0))).toEqual([]);
  expect((await store.readMark()).sequence).toBe(Math.max(0, ...jobs.map(({ timingSequence }) => timingSequence)));

  const batches = Map.groupBy(jobs, (row) => batchOf(row).requestId);
  expect([...batches.values()].filter((rows) => rows.some((row) => batchOf(row).size !== rows.length))).toEqual([]);
  const answers = await store.findAnswers([...batches.keys()], 0);
  expect(answers.map((answer) => String(answer?.answer))).toEqual([...batches.values()].map(([first]) => first?.jobId));
}
