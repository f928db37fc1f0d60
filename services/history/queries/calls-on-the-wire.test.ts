import { describe, expect, it } from "vitest";
import { ExecutionTrigger } from "../../../gen/carillon/v1/execution_pb.ts";
import { jobNamed } from "../../../test/support/job-ids.ts";
import { executionIdAt } from "../../domain/identity/position.ts";
import { createLog } from "../../platform/process/log.ts";
import {
  type RunningCall,
  type RunningCallsQuestion,
  readRunningCallsQuestion,
  writeRunningCalls,
} from "../../wire/running-calls.ts";
import { createCallsOnTheWire } from "./calls-on-the-wire.ts";

const jobId = jobNamed("a");
const callAt = (second: number): RunningCall => ({
  jobId,
  second,
  run: "",
  attempt: 1,
  sentAtMs: second * 1000,
  trigger: ExecutionTrigger.SCHEDULE,
});
const idOf = (call: RunningCall) => executionIdAt(call.jobId, call);

/** Executors that answer what they have when the test says so. */
function setUp(live: string[] = ["one"]) {
  let nowMs = 0;
  const has = new Map<string, RunningCall[]>();
  const asked: { question: RunningCallsQuestion; answer: (...runs: string[]) => boolean; end: () => void }[] = [];
  const clock = { nowMs: () => 0, monotonicMs: () => nowMs, after: () => () => undefined };
  const calls = createCallsOnTheWire(
    (data, enough) => {
      const over = Promise.withResolvers<void>();
      const answers: Uint8Array[] = [];
      asked.push({
        question: readRunningCallsQuestion(data),
        answer(...runs) {
          for (const run of runs) answers.push(writeRunningCalls({ executorRun: run, calls: has.get(run) ?? [] }));
          const isEnough = enough(answers);
          if (isEnough) over.resolve();
          return isEnough;
        },
        end: over.resolve,
      });
      return over.promise;
    },
    { haveAll: (runs) => live.every((run) => runs.has(run)) },
    { clock, log: createLog("test", "silent") },
  );
  const nextTurn = () => new Promise((resolve) => setImmediate(resolve));
  return { calls, has, asked, nextTurn, pass: (ms: number) => (nowMs += ms) };
}

describe("what is asked of executors", () => {
  it("waits for all of them, however often one answers", async () => {
    const { calls, has, asked, nextTurn } = setUp(["one", "two"]);
    has.set("one", [callAt(1)]).set("two", [callAt(2)]);
    const ofJob = calls.ofJob(jobId);
    await nextTurn();
    expect(asked[0]?.answer("one", "one")).toBe(false);
    expect(asked[0]?.answer("two")).toBe(true);
    expect((await ofJob).map(({ second }) => second)).toEqual(expect.arrayContaining([1, 2]));
  });

  it("gathers while a question is under way, and comes in one then", async () => {
    const { calls, asked, nextTurn } = setUp();
    const first = calls.ofExecution("x-0");
    await nextTurn();
    const others = Array.from({ length: 50 }, (_, i) => calls.ofExecution(`x-${i % 25}`));
    const ofJob = calls.ofJob(jobId);
    await nextTurn();
    expect(asked).toHaveLength(1);
    asked[0]?.answer("one");
    await first;
    await nextTurn();
    expect(asked).toHaveLength(2);
    expect(asked[1]?.question).toEqual({
      jobIds: [jobId],
      executionIds: Array.from({ length: 25 }, (_, i) => `x-${i}`),
    });
    asked[1]?.answer("one");
    await Promise.all([...others, ofJob]);
    expect(asked).toHaveLength(2);
  });

  it("is no more than fits into a message", async () => {
    const { calls, asked, nextTurn } = setUp();
    const first = calls.ofExecution("x");
    await nextTurn();
    const others = Array.from({ length: 5_001 }, (_, i) => calls.ofExecution(`x-${i}`));
    asked[0]?.answer("one");
    await first;
    await nextTurn();
    asked[1]?.answer("one");
    await nextTurn();
    asked[2]?.answer("one");
    await Promise.all(others);
    expect(asked.map(({ question }) => question.executionIds.length)).toEqual([1, 5_000, 1]);
  });

  it("is told to those alone who asked for it", async () => {
    const { calls, has, asked, nextTurn } = setUp();
    const other = { ...callAt(1), jobId: jobNamed("b") };
    has.set("one", [callAt(1), callAt(2), other]);
    const answers = Promise.all([
      calls.ofExecution(idOf(callAt(2))),
      calls.ofJob(jobNamed("b")),
      calls.ofJob(jobNamed("c")),
    ]);
    await nextTurn();
    asked[0]?.answer("one");
    const seconds = (await answers).map((found) => new Set(found.map(idOf)));
    expect(seconds).toEqual([new Set([idOf(callAt(2))]), new Set([idOf(other)]), new Set()]);
  });
});

describe("what was told once", () => {
  it("is told for ten minutes more, unless it is on the wire again", async () => {
    const { calls, has, asked, nextTurn, pass } = setUp();
    const look = async () => {
      const found = Promise.all([calls.ofJob(jobId), calls.ofExecution(idOf(callAt(1)))]);
      await nextTurn();
      asked.at(-1)?.answer("one");
      return (await found).map((all) => [...new Set(all.map(({ sentAtMs }) => sentAtMs))]);
    };
    has.set("one", [callAt(1)]);
    expect(await look()).toEqual([[1_000], [1_000]]);
    has.set("one", []);
    pass(300_000);
    expect(await look()).toEqual([[1_000], [1_000]]);
    has.set("one", [{ ...callAt(1), sentAtMs: 9_000 }]);
    expect(await look()).toEqual([[9_000], [9_000]]);
    has.set("one", []);
    pass(600_000);
    expect(await look()).toEqual([[9_000], [9_000]]);
    pass(1);
    expect(await look()).toEqual([[], []]);
  });
});
