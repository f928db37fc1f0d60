import { ExecutionTrigger } from "../../../gen/carillon/v1/execution_pb.ts";
import { type Job, JobState } from "../../../gen/carillon/v1/job_pb.ts";
import type { SkipReason } from "../../domain/delivery/skip-reason.ts";
import type { EventTiming, JobEvent } from "../../wire/job-event.ts";
import type { Call } from "../calls/call.ts";

/** What is to become of an occurrence, now that its moment has come. */
export type Verdict = { kind: "fire"; call: Call } | { kind: "skip"; reason: SkipReason };

/** An occurrence that is about to be called. */
export interface Occurrence {
  call: Call;
  second: number;
  /** An attempt of it was made already. */
  started: boolean;
}

/**
 * The verdict on a call that was published before its job changed. `next` is the first timing after
 * the one that the call was published under, as far as it is known: what lies behind its beginning
 * follows it. `newestCall` compiles what the changed job asks for.
 */
export function judge(
  { call, second, started }: Occurrence,
  event: JobEvent,
  next: EventTiming | undefined,
  newestCall: (job: Job) => Call,
): Verdict {
  const { job } = event;
  if (event.deleted || !job) return { kind: "skip", reason: "JOB_DELETED" };
  // A manual run has nothing to do with the schedule, and keeps its own id: it fires as it was asked for.
  if (call.trigger === ExecutionTrigger.MANUAL) return { kind: "fire", call };
  if (job.state === JobState.PAUSED) return { kind: "skip", reason: "JOB_PAUSED" };
  if (started) return { kind: "fire", call: newestCall(job) };
  // A pause ends what was not begun by then, also when the job is resumed since.
  if (call.generation < event.pausedGeneration) return { kind: "skip", reason: "JOB_PAUSED" };
  // What lies behind the change is for the ticker to publish, by the new timing; what lies before it is owed as before.
  if (next && second * 1000 > next.effectiveFromMs) return { kind: "skip", reason: "JOB_CHANGED" };
  return { kind: "fire", call: newestCall(job) };
}
