import type { Subscription } from "nats";
import type { Broker } from "../platform/jetstream/broker.ts";
import type { Startable } from "../platform/process/lifecycle.ts";
import type { Log } from "../platform/process/log.ts";
import {
  type RunningCall,
  type RunningCallsQuestion,
  readRunningCallsQuestion,
  writeRunningCalls,
} from "../wire/running-calls.ts";
import { subjects } from "../wire/subjects.ts";
import type { HttpCaller } from "./calls/http-caller.ts";

/**
 * Answers what is on the wire here, to history, which shows it. One look over what is in flight a question: calls
 * themselves cost nothing more.
 */
export function createRunningCallsAnswers(
  broker: Broker,
  deps: { caller: Pick<HttpCaller, "onWire">; log: Log },
  /** This start of this executor. */
  run: string,
): Startable {
  const { caller, log } = deps;
  let subscription: Subscription | undefined;
  return {
    async start() {
      subscription ??= broker.nc.subscribe(subjects.callsQuestion, {
        callback(error, message) {
          if (error) return;
          try {
            const calls = callsFor(readRunningCallsQuestion(message.data), caller);
            message.respond(writeRunningCalls({ executorRun: run, calls }));
          } catch (cause) {
            log.error({ event: "calls_question_broken", err: cause });
          }
        },
      });
    },
    async stop() {
      if (subscription && !broker.nc.isClosed()) subscription.unsubscribe();
      subscription = undefined;
    },
  };
}

/** All that is in flight would be half of what a message may hold. */
function callsFor(question: RunningCallsQuestion, caller: Pick<HttpCaller, "onWire">): RunningCall[] {
  const jobIds = new Set(question.jobIds);
  const executionIds = new Set(question.executionIds);
  const calls: RunningCall[] = [];
  for (const { attempt, sentAtMs } of caller.onWire()) {
    const { jobId, run, trigger } = attempt.call;
    const { executionId, second, number } = attempt;
    if (!jobIds.has(jobId) && !executionIds.has(executionId)) continue;
    calls.push({ jobId, second, run, attempt: number, sentAtMs, trigger });
  }
  return calls;
}
