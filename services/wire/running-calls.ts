import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { RunningCallsQuestionSchema, RunningCallsSchema } from "../../gen/carillon/v1/events_pb.ts";
import type { ExecutionTrigger } from "../../gen/carillon/v1/execution_pb.ts";
import { isJobId } from "../domain/identity/job-id.ts";
import { executionIdAt, type Position, runOf } from "../domain/identity/position.ts";
import { isInstant, isSecond } from "./ranges.ts";

/** What executors are asked for: the calls of these jobs, and of these executions. */
export interface RunningCallsQuestion {
  jobIds: readonly string[];
  executionIds: readonly string[];
}

/** An attempt that is on the wire. */
export interface RunningCall extends Position {
  jobId: string;
  /** From 1. */
  attempt: number;
  /** Unix milliseconds. */
  sentAtMs: number;
  trigger: ExecutionTrigger;
}

/** What one executor answers. */
export interface RunningCalls {
  executorRun: string;
  calls: RunningCall[];
}

export function writeRunningCallsQuestion({ jobIds, executionIds }: RunningCallsQuestion): Uint8Array {
  const question = create(RunningCallsQuestionSchema, { jobIds: [...jobIds], executionIds: [...executionIds] });
  return toBinary(RunningCallsQuestionSchema, question);
}

/** Throws when the bytes are none. */
export function readRunningCallsQuestion(bytes: Uint8Array): RunningCallsQuestion {
  const { jobIds, executionIds } = fromBinary(RunningCallsQuestionSchema, bytes);
  return { jobIds, executionIds };
}

export function writeRunningCalls({ executorRun, calls }: RunningCalls): Uint8Array {
  const message = create(RunningCallsSchema, {
    executorRun,
    calls: calls.map(({ jobId, second, run, attempt, sentAtMs, trigger }) => ({
      executionId: executionIdAt(jobId, { second, run }),
      jobId,
      second: BigInt(second),
      attempt,
      sentAtMs: BigInt(sentAtMs),
      trigger,
    })),
  });
  return toBinary(RunningCallsSchema, message);
}

/** Throws when the bytes are none; a call in it that cannot be is left out. */
export function readRunningCalls(bytes: Uint8Array): RunningCalls {
  const message = fromBinary(RunningCallsSchema, bytes);
  const calls: RunningCall[] = [];
  for (const { executionId, jobId, attempt, trigger, ...times } of message.calls) {
    const second = Number(times.second);
    const sentAtMs = Number(times.sentAtMs);
    const run = runOf(executionId, jobId, second);
    const possible = isJobId(jobId) && isSecond(second) && isInstant(sentAtMs) && attempt > 0;
    if (possible && run !== undefined) calls.push({ jobId, second, run, attempt, sentAtMs, trigger });
  }
  return { executorRun: message.executorRun, calls };
}
