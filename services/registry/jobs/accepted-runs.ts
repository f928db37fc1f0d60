import { LRUCache } from "lru-cache";
import { ExecutionTrigger } from "../../../gen/carillon/v1/execution_pb.ts";
import { manualRunOf } from "../../domain/identity/position.ts";
import type { Publisher } from "../../platform/jetstream/publisher.ts";
import { type Clock, secondOf } from "../../platform/process/clock.ts";
import { waitResult } from "../../wire/attempt-result.ts";
import { ResultBatchWriter, waitBatchId } from "../../wire/result-batch.ts";
import { subjects } from "../../wire/subjects.ts";

/** A manual run that was accepted, and of which history may not have heard yet. */
export interface AcceptedRun {
  jobId: string;
  executionId: string;
  acceptedMs: number;
}

/** So that a manual run can be read from the moment on that it is accepted, whoever has it then. */
export interface AcceptedRuns {
  /** To be called once it is stored. Tells history that it waits; where that fails it is shown from its first call on. */
  note(run: AcceptedRun): void;
  find(executionId: string): AcceptedRun | undefined;
  /** Those of a job that were accepted a moment ago. */
  latestOf(jobId: string): AcceptedRun[];
  /** History has it. */
  forget(executionId: string): void;
}

const mostRemembered = 10_000;
const rememberedMs = 3_600_000;
// By then history has heard of it, or is behind.
const latestMs = 2_000;
// Nothing depends on what is told: no more of it is kept for a broker that does not answer.
const mostPending = 256;

export function createAcceptedRuns(
  publisher: Pick<Publisher, "publish" | "pending">,
  /** `up`: whether the broker can be told at this moment. */
  deps: { clock: Clock; up: () => boolean },
): AcceptedRuns {
  const { clock } = deps;
  const runs = new LRUCache<string, AcceptedRun>({ max: mostRemembered });
  const writer = new ResultBatchWriter();

  const tell = ({ jobId, executionId, acceptedMs }: AcceptedRun) => {
    const run = manualRunOf(executionId, jobId);
    if (run === undefined || !deps.up() || publisher.pending() >= mostPending) return;
    const trigger = ExecutionTrigger.MANUAL;
    const second = secondOf(acceptedMs);
    writer.add(waitResult({ jobId, second, run, trigger, sinceMs: acceptedMs, message: waitsForExecutor }));
    void publisher.publish(subjects.results, writer.take(), { messageId: waitBatchId(executionId), unlessFull: true });
  };
  const isSince = (run: AcceptedRun, spanMs: number) => run.acceptedMs >= clock.nowMs() - spanMs;

  return {
    note(run) {
      runs.set(run.executionId, run);
      tell(run);
    },
    find(executionId) {
      const run = runs.peek(executionId);
      return run && isSince(run, rememberedMs) ? run : undefined;
    },
    latestOf(jobId) {
      const latest: AcceptedRun[] = [];
      // Newest first.
      for (const run of runs.values()) {
        if (!isSince(run, latestMs)) break;
        if (run.jobId === jobId) latest.push(run);
      }
      return latest;
    },
    forget: (executionId) => void runs.delete(executionId),
  };
}

/** What an execution says of itself before its first call. */
export const waitsForExecutor = "waits for an executor";
