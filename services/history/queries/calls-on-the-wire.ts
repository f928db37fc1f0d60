import { LRUCache } from "lru-cache";
import { executionIdAt } from "../../domain/identity/position.ts";
import { askAll } from "../../platform/jetstream/ask-all.ts";
import type { Broker } from "../../platform/jetstream/broker.ts";
import type { Clock } from "../../platform/process/clock.ts";
import type { Log } from "../../platform/process/log.ts";
import {
  type RunningCall,
  type RunningCalls,
  readRunningCalls,
  writeRunningCallsQuestion,
} from "../../wire/running-calls.ts";
import { subjects } from "../../wire/subjects.ts";
import type { LiveExecutors } from "./live-executors.ts";

/**
 * What executors have on the wire, as they say when they are asked: calls themselves leave no trace anywhere before they
 * have ended. Also what was told here before and is on the wire no more: its result may be on its way, or another
 * executor have to make the call again. Whoever asks looks for what is recorded after this, and not before.
 */
export interface CallsOnTheWire {
  ofJob(jobId: string): Promise<RunningCall[]>;
  ofExecution(executionId: string): Promise<RunningCall[]>;
}

/** Asks all executors, and gathers their answers until there are enough, or somebody is held up. It does not throw. */
export type AskExecutors = (
  question: Uint8Array,
  enough: (answers: readonly Uint8Array[]) => boolean,
) => Promise<unknown>;

// One that is held up is not waited for longer: what it has on the wire is shown the next time.
const timeoutMs = 500;

/** By way of the broker. */
export function askOverBroker(broker: Broker, deps: { clock: Clock }): AskExecutors {
  const { callsQuestion: subject } = subjects;
  return (data, enough) => askAll(broker, { subject, data, timeoutMs, enough }, deps);
}

// Half of what a message may hold.
const mostIds = 5_000;
// History may be behind by that much before something that was shown vanishes for a while.
const rememberedMs = 600_000;
const mostRemembered = 10_000;

interface Gathered {
  jobIds: Set<string>;
  executionIds: Set<string>;
  answer: Promise<Answers>;
}

interface Answers {
  byJob: Map<string, RunningCall[]>;
  byExecution: Map<string, RunningCall[]>;
}

/** One question is under way at a time; what is asked meanwhile gathers for the next, however many ask. */
export function createCallsOnTheWire(
  ask: AskExecutors,
  executors: Pick<LiveExecutors, "haveAll">,
  deps: { clock: Clock; log: Log },
): CallsOnTheWire {
  let underWay: Promise<unknown> = Promise.resolve();
  let gathered: Gathered | undefined;
  /** By execution. */
  const told = new LRUCache<string, { call: RunningCall; atMs: number }>({ max: mostRemembered });

  const read = (data: Uint8Array): RunningCalls | undefined => {
    try {
      return readRunningCalls(data);
    } catch (error) {
      deps.log.error({ event: "calls_answer_broken", bytes: data.length, err: error });
      return undefined;
    }
  };
  const gatherAnswers = async (question: Pick<Gathered, "jobIds" | "executionIds">): Promise<Answers> => {
    const answered = new Map<string, RunningCall[]>();
    let looked = 0;
    const data = writeRunningCallsQuestion({
      jobIds: [...question.jobIds],
      executionIds: [...question.executionIds],
    });
    const enough = (answers: readonly Uint8Array[]) => {
      for (const answer of answers.slice(looked)) {
        const one = read(answer);
        if (one) answered.set(one.executorRun, one.calls);
      }
      looked = answers.length;
      return executors.haveAll(answered);
    };
    await ask(data, enough);
    const calls = [...answered.values()].flat();
    const atMs = deps.clock.monotonicMs();
    // Once for all who ask: there may be thousands.
    const byExecution = Map.groupBy(calls, (call) => executionIdAt(call.jobId, call));
    for (const [executionId, ofIt] of byExecution) for (const call of ofIt) told.set(executionId, { call, atMs });
    return { byJob: Map.groupBy(calls, ({ jobId }) => jobId), byExecution };
  };
  const isRemembered = ({ atMs }: { atMs: number }) => atMs >= deps.clock.monotonicMs() - rememberedMs;
  const gather = (): Gathered => {
    const full = gathered && gathered.jobIds.size + gathered.executionIds.size >= mostIds;
    if (gathered && !full) return gathered;
    const next: Gathered = {
      jobIds: new Set(),
      executionIds: new Set(),
      answer: underWay.then(() => {
        if (gathered === next) gathered = undefined;
        return gatherAnswers(next);
      }),
    };
    gathered = next;
    // One that failed is told to those who asked, and not to all who ask later.
    underWay = next.answer.catch(() => undefined);
    return next;
  };

  return {
    async ofJob(jobId) {
      const question = gather();
      question.jobIds.add(jobId);
      const { byJob } = await question.answer;
      const before = [...told.values()].filter((one) => one.call.jobId === jobId && isRemembered(one));
      return [...(byJob.get(jobId) ?? []), ...before.map(({ call }) => call)];
    },
    async ofExecution(executionId) {
      const question = gather();
      question.executionIds.add(executionId);
      const { byExecution } = await question.answer;
      const before = told.peek(executionId);
      return [...(byExecution.get(executionId) ?? []), ...(before && isRemembered(before) ? [before.call] : [])];
    },
  };
}
