import { expect, it } from "vitest";
import { ExecutionStatus } from "../../gen/carillon/v1/execution_pb.ts";
import type { ExecutionRecord } from "../../services/history/records/execution-record.ts";
import type { AttemptResult } from "../../services/wire/attempt-result.ts";
import { createDice, type Dice } from "../simulation/random.ts";
import { type HistoryEngine, type StoreSize, useStore } from "../support/history-engine.ts";
import { noon, partsOf, resultOf } from "../support/history-results.ts";
import { jobsNamed } from "../support/job-ids.ts";

const { SUCCESS, FAILED, RETRYING, RUNNING, SKIPPED_PAUSED, SKIPPED_EXPIRED } = ExecutionStatus;
const seeds = Array.from({ length: 20 }, (_, seed) => seed);

/** Random results against the promise in its plainest form. */
export function modelSuite(engine: HistoryEngine, size: StoreSize): void {
  const rig = useStore(engine, size);

  it.each(seeds)("answers like the plain rules: repeats, disorder, restarts, paging (seed %i)", async (seed) => {
    const dice = createDice(seed);
    const jobs = jobsNamed("j", dice.between(1, 3));
    const model = new Model();
    const made = resultsOf(jobs, dice);
    const sent: AttemptResult[] = [];
    const ended: string[] = [];
    for (let round = 0; round < 40; round++) {
      const batch = Array.from({ length: dice.between(0, 11) }, () => {
        const again = sent.length > 0 && dice.chance(0.8) ? dice.pick(sent) : made();
        sent.push(again);
        return again;
      });
      for (const result of batch) model.add(result);
      const recorded = await rig.store.record(batch);
      for (const record of recorded.ended) expect(await rig.store.find(partsOf(record))).toEqual(record);
      ended.push(...recorded.ended.map(nameOf));
      if (dice.chance(1 / 12)) await rig.reopen();
    }

    for (const expected of model.all()) {
      const record = await rig.store.find(partsOf(expected));
      expect(record && seen(record)).toEqual(expected);
    }
    const recorded = await rig.store.findRecorded(model.all().map(partsOf));
    // Of those that were only skipped for a pause a later timing may have the same second.
    expect(recorded).toEqual(
      model
        .all()
        .map(({ status, attempts }) => (status !== SKIPPED_PAUSED && status !== RETRYING) || attempts.length > 0),
    );
    for (const job of jobs) {
      const waiting = model.all().filter(({ jobId, status }) => jobId === job && status === RETRYING);
      expect((await rig.store.listWaiting(job, 1_000)).map(seen)).toEqual(waiting.sort(newestFirst));
      const pageSize = dice.between(1, 7);
      const listed: ReturnType<typeof seen>[] = [];
      for (let page = await rig.store.list(job, pageSize); page.length > 0; ) {
        listed.push(...page.map(seen));
        page = await rig.store.list(job, pageSize, page.at(-1));
      }
      expect(listed).toEqual(model.list(job));
      expect((await rig.store.list(job, 1_000)).map(seen)).toEqual(listed);
    }
    const over = model.all().filter(({ status }) => status !== RETRYING);
    expect(ended.sort()).toEqual(over.map(nameOf).sort());
  });
}

function newestFirst(a: Pick<AttemptResult, "second" | "run">, b: Pick<AttemptResult, "second" | "run">): number {
  return b.second - a.second || (a.run < b.run ? 1 : -1);
}

function nameOf({ jobId, second, run }: Pick<AttemptResult, "jobId" | "second" | "run">): string {
  return `${jobId} ${second} ${run}`;
}

/** What the model knows of a record. */
function seen({ jobId, second, run, status, sentAtMs, attempts }: ExecutionRecord) {
  const calls = attempts.map((one) => [one.attempt, one.sentAtMs, one.status]);
  return { jobId, second, run, status, sentAtMs, attempts: calls };
}

/** Makes random results, each with an instant of its own. */
function resultsOf(jobs: readonly string[], dice: Dice): () => AttemptResult {
  // Of a manual run the id tells no second: it always comes with the same one.
  const secondOfRun = new Map<string, number>();
  let clock = 0;
  return () => {
    const skip = dice.chance(1 / 6);
    const wait = !skip && dice.chance(1 / 8);
    const jobId = dice.pick(jobs);
    const run = dice.chance(1 / 5) ? `m${dice.between(0, 2)}` : "";
    // Mostly now, at times long ago.
    let second = noon + (dice.chance(1 / 10) ? dice.between(0, 39) : 20 + Math.floor(clock / 8) + dice.between(0, 3));
    if (run !== "") {
      second = secondOfRun.get(`${jobId} ${run}`) ?? second;
      secondOfRun.set(`${jobId} ${run}`, second);
    }
    return resultOf({
      jobId,
      second,
      run,
      attempt: skip || wait ? 0 : dice.between(1, 3),
      status: wait ? RUNNING : dice.pick(skip ? [SKIPPED_PAUSED, SKIPPED_EXPIRED] : [SUCCESS, FAILED]),
      final: !wait && (skip || dice.chance(2 / 3)),
      sentAtMs: noon * 1000 + clock++,
    });
  };
}

/** All results in the order in which they came, and the answer worked out from them. */
class Model {
  readonly #byExecution = new Map<string, AttemptResult[]>();

  add(result: AttemptResult): void {
    const results = this.#byExecution.get(nameOf(result)) ?? [];
    this.#byExecution.set(nameOf(result), [...results, result]);
  }

  all() {
    return [...this.#byExecution.values()].map((results) => this.#judge(results));
  }

  list(jobId: string) {
    return this.all()
      .filter((execution) => execution.jobId === jobId && execution.status !== RETRYING)
      .sort(newestFirst);
  }

  #judge(results: AttemptResult[]) {
    const skip = results.find(({ attempt, status }) => attempt === 0 && status !== RUNNING);
    const [wait] = results;
    let decider: AttemptResult | undefined;
    const attempts = new Map<number, AttemptResult>();
    for (const result of results.filter(({ attempt }) => attempt > 0)) {
      // The first final one, and behind one that has failed, since it was redriven, the next of a higher number.
      const open = !decider || (decider.status === FAILED && result.attempt > decider.attempt);
      if (result.final && open) decider = result;
      if (result === decider || !attempts.has(result.attempt)) attempts.set(result.attempt, result);
    }
    const ordered = [...attempts.values()].sort((a, b) => a.attempt - b.attempt);
    const last = ordered.at(-1);
    // Calls that were made and failed are no skip.
    const shown = (decider ?? last ?? skip ?? wait) as AttemptResult;
    const undecided = skip ? FAILED : RETRYING;
    return {
      jobId: shown.jobId,
      second: shown.second,
      run: shown.run,
      status: decider?.status ?? (last || !skip ? undecided : shown.status),
      sentAtMs: shown.sentAtMs,
      attempts: ordered.map(({ attempt, sentAtMs, status }) => [attempt, sentAtMs, status]),
    };
  }
}
