import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ExecutionStatus, ExecutionTrigger } from "../../../gen/carillon/v1/execution_pb.ts";
import type { AttemptResult } from "../../wire/attempt-result.ts";
import { createHistoryStore } from "./store.ts";

const { SUCCESS, FAILED, RETRYING, SKIPPED_PAUSED, SKIPPED_EXPIRED } = ExecutionStatus;
const noon = 1_764_000_000;

/** mulberry32: a seed tells the whole run. */
function randomOf(seed: number) {
  let state = seed;
  return (below: number) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/** The promise in its plainest form: all results in the order in which they came, and the answer worked out from them. */
class Model {
  readonly #byExecution = new Map<string, AttemptResult[]>();

  add(result: AttemptResult): void {
    const key = `${result.jobId} ${result.second} ${result.run}`;
    this.#byExecution.set(key, [...(this.#byExecution.get(key) ?? []), result]);
  }

  all() {
    return [...this.#byExecution.values()].map((results) => this.#judge(results));
  }

  list(jobId: string) {
    return this.all()
      .filter((execution) => execution.jobId === jobId && execution.status !== RETRYING)
      .sort((a, b) => b.second - a.second || (a.run < b.run ? 1 : -1));
  }

  #judge(results: AttemptResult[]) {
    const decider = results.find((result) => result.attempt > 0 && result.final);
    const skip = results.find((result) => result.attempt === 0);
    const attempts = new Map<number, AttemptResult>();
    for (const result of results) {
      if (result.attempt > 0 && !attempts.has(result.attempt)) attempts.set(result.attempt, result);
    }
    if (decider) attempts.set(decider.attempt, decider);
    const ordered = [...attempts.values()].sort((a, b) => a.attempt - b.attempt);
    const last = ordered.at(-1);
    // Calls that were made and failed are no skip.
    const shown = (decider ?? last ?? skip) as AttemptResult;
    const open = skip ? FAILED : RETRYING;
    return {
      jobId: shown.jobId,
      second: shown.second,
      run: shown.run,
      status: decider?.status ?? (last ? open : shown.status),
      sentAtMs: shown.sentAtMs,
      attempts: ordered.map(({ attempt, sentAtMs, status }) => [attempt, sentAtMs, status]),
    };
  }
}

describe("the history store under random results", () => {
  const seeds = Array.from({ length: 40 }, (_, seed) => seed);

  it.each(
    seeds,
  )("answers like the plain rules: repeats, disorder, roll-over, restarts, paging (seed %i)", async (seed) => {
    const random = randomOf(seed);
    const folder = mkdtempSync(join(tmpdir(), "carillon-history-"));
    const options = { folder, segmentRows: 5 + random(30) };
    let store = createHistoryStore(options);
    await store.start();
    const model = new Model();
    const jobs = ["a", "b", "c"].slice(0, 1 + random(3));
    const settled: string[] = [];
    let clock = 0;

    const make = (): AttemptResult => {
      const skip = random(6) === 0;
      const status = skip ? [SKIPPED_PAUSED, SKIPPED_EXPIRED][random(2)] : [SUCCESS, FAILED][random(2)];
      return {
        jobId: jobs[random(jobs.length)] ?? "a",
        // Mostly now, at times long ago.
        second: noon + (random(10) === 0 ? random(40) : 20 + Math.floor(clock / 8) + random(4)),
        run: random(5) === 0 ? `m${random(3)}` : "",
        attempt: skip ? 0 : 1 + random(3),
        status: status ?? SUCCESS,
        final: skip || random(3) > 0,
        sentAtMs: noon * 1000 + clock++,
        durationMs: random(100),
        httpStatus: 200,
        reason: "",
        message: "",
        trigger: ExecutionTrigger.SCHEDULE,
      };
    };
    // Of a manual run the id tells no second: it always comes with the same one.
    const secondOfRun = new Map<string, number>();
    const sent: AttemptResult[] = [];
    for (let round = 0; round < 40; round++) {
      const batch = Array.from({ length: random(12) }, () => {
        const old = sent[random(sent.length + 5)];
        if (old) return old;
        const result = make();
        if (result.run !== "") {
          const id = `${result.jobId} ${result.run}`;
          result.second = secondOfRun.get(id) ?? result.second;
          secondOfRun.set(id, result.second);
        }
        sent.push(result);
        return result;
      });
      for (const result of batch) model.add(result);
      for (const { jobId, second, run } of store.record(batch).settled) settled.push(`${jobId} ${second} ${run}`);
      if (random(12) === 0) {
        await store.stop();
        store = createHistoryStore(options);
        await store.start();
      }
    }

    const seen = (record: ReturnType<typeof store.find>) =>
      record && {
        jobId: record.jobId,
        second: record.second,
        run: record.run,
        status: record.status,
        sentAtMs: record.sentAtMs,
        attempts: record.attempts.map(({ attempt, sentAtMs, status }) => [attempt, sentAtMs, status]),
      };
    for (const expected of model.all()) {
      expect(seen(store.find(expected.jobId, expected))).toEqual(expected);
      expect(store.has(expected.jobId, expected)).toBe(true);
      if (expected.run !== "") expect(seen(store.findManual(expected.jobId, expected.run))).toEqual(expected);
    }
    for (const job of jobs) {
      const pageSize = 1 + random(7);
      const listed = [];
      for (let page = store.list(job, pageSize); page.length > 0; page = store.list(job, pageSize, page.at(-1))) {
        listed.push(...page.map(seen));
      }
      expect(listed).toEqual(model.list(job));
      expect(store.list(job, 1_000).map(seen)).toEqual(listed);
    }
    const ended = model.all().filter(({ status }) => status !== RETRYING);
    expect(settled.sort()).toEqual(ended.map(({ jobId, second, run }) => `${jobId} ${second} ${run}`).sort());
    await store.stop();
    rmSync(folder, { recursive: true });
  });
});
