import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { describe, expect, it } from "vitest";
import { lanes, type RegistryStore } from "../../services/registry/store/contract.ts";
import type { RegistryStoreEngine } from "../support/registry-engine.ts";
import { type Answered, listAll, takeAll } from "../support/registry-store-rows.ts";

const rounds = 4;
const answersARound = 150;

/** What a store has after the process that wrote to it was killed, in the middle of whatever it did. */
export function crashSuite(engine: RegistryStoreEngine): void {
  describe("after kill -9 of a process that writes", () => {
    it("has all that was answered, and of the rest each call in full or not at all", async () => {
      const place = await engine.newPlace();
      const answered: Answered[] = [];
      try {
        for (let round = 0; round < rounds; round++) {
          answered.push(...(await writeAndKill(engine.writerProgram, place, round)));
          const store = engine.storeAt(place);
          await store.start();
          await expectAnswered(store, answered);
          await expectWholeCalls(store);
          await store.stop();
        }
      } finally {
        await engine.removePlace(place);
      }
      for (const kind of ["created", "changed", "ran", "receipt"]) {
        expect(
          answered.some((one) => one.kind === kind),
          kind,
        ).toBe(true);
      }
    });
  });
}

/** Kills the writer after so many answers; resolves with those that came through. */
async function writeAndKill(program: string, place: string, round: number): Promise<Answered[]> {
  const child: ChildProcess = spawn(process.execPath, [program, place, String(round)], {
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
      created: () => one.kind === "created" && one.jobIds.every((jobId) => jobs.has(jobId)),
      changed: () => one.kind === "changed" && (jobs.get(one.jobId)?.generation ?? 0) >= one.generation,
      ran: () => one.kind === "ran" && runs.has(one.executionId),
      receipt: () => one.kind === "receipt" && jobs.get(one.jobId)?.timingSequence === one.sequence,
    }[one.kind];
    if (!there()) lost.push(one);
  }
  expect(lost).toEqual([]);
  await store.stop();
  await store.start();
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

  // The id of a job names its batch and how many are in it: <round>-<writer>-<turn>-of-<size>-<index>.
  const batches = Map.groupBy(jobs, ({ jobId }) => jobId.slice(0, jobId.lastIndexOf("-")));
  const sizeOf = (batch: string) => Number(batch.slice(batch.lastIndexOf("-") + 1));
  expect([...batches].filter(([batch, rows]) => rows.length !== sizeOf(batch))).toEqual([]);
  const answers = await store.findAnswers([...batches.keys()], 0);
  expect(answers.map((answer) => String(answer?.answer))).toEqual([...batches.keys()].map((batch) => `${batch}-0`));
}
