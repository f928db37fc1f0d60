import { ExecutionTrigger } from "../../../gen/carillon/v1/execution_pb.ts";
import { type Job, JobState } from "../../../gen/carillon/v1/job_pb.ts";
import type { SkipReason } from "../../domain/delivery/skip-reason.ts";
import type { JobEvent } from "../../wire/job-event.ts";
import type { Call } from "../calls/call.ts";

/** What is to become of an occurrence, now that its moment has come. */
export type Verdict = { kind: "fire"; call: Call } | { kind: "skip"; reason: SkipReason };

/**
 * The verdict on a call that was published before its job changed. `started`: an attempt of the
 * occurrence was made already; `newestCall` compiles what the changed job asks for.
 */
export function judge(call: Call, started: boolean, event: JobEvent, newestCall: (job: Job) => Call): Verdict {
  const { job } = event;
  if (event.deleted || !job) return { kind: "skip", reason: "JOB_DELETED" };
  // A manual run has nothing to do with the schedule, and keeps its own id: it fires as it was asked for.
  if (call.trigger === ExecutionTrigger.MANUAL) return { kind: "fire", call };
  if (job.state === JobState.PAUSED) return { kind: "skip", reason: "JOB_PAUSED" };
  // The ticker publishes what the new timing asks for.
  if (event.timingGeneration > call.generation && !started) return { kind: "skip", reason: "JOB_CHANGED" };
  return { kind: "fire", call: newestCall(job) };
}
