import type { Job } from "../../../gen/carillon/v1/job_pb.ts";
import type { Clock } from "../../platform/process/clock.ts";
import { type StoredState, storedState } from "../store/contract.ts";
import type { JobName } from "../store/named-jobs.ts";
import { type ChangeNamed, changeOne, type Step } from "./named-changes.ts";
import { accept, type Decision, etagMismatch, jobNotFound, refuse } from "./refusals.ts";
import { changedJob, etagOf, type StoredJob, viewOf } from "./stored-job.ts";

/** Changes of a job's state. `etag` "" asks for none in particular. */
export interface JobChanges {
  pause(name: JobName, etag: string): Promise<Job>;
  resume(name: JobName, etag: string): Promise<Job>;
  remove(name: JobName, etag: string, allowMissing: boolean): Promise<void>;
  /** All of them in one transaction, or none. Resolves with how many there were. */
  removeAll(names: readonly JobName[], how: { allowMissing: boolean; validateOnly: boolean }): Promise<number>;
}

export function createJobChanges({ changeNamed, clock }: { changeNamed: ChangeNamed; clock: Clock }): JobChanges {
  const setState = (state: StoredState) => async (name: JobName, etag: string) => {
    const step = await changeOne(
      changeNamed,
      name,
      (stored, nowMs) => checkEtag(stored, etag) ?? accept(stepTo(stored, state, nowMs)),
      () => refuse(jobNotFound(name)),
      { stops: state === storedState.paused },
    );
    if (step.kind === "missing") throw jobNotFound(name);
    return viewOf(step.stored, clock.nowMs());
  };

  return {
    pause: setState(storedState.paused),
    resume: setState(storedState.active),
    async remove(name, etag, allowMissing) {
      await changeOne(
        changeNamed,
        name,
        (stored, nowMs) => checkEtag(stored, etag) ?? accept(stepTo(stored, storedState.deleted, nowMs)),
        () => (allowMissing ? accept({ kind: "missing" }) : refuse(jobNotFound(name))),
        { stops: true },
      );
    },
    async removeAll(names, { allowMissing, validateOnly }) {
      const decideAll = (all: readonly (StoredJob | undefined)[], nowMs: number): Decision<readonly Step[]> => {
        const seen = new Set<string>();
        const steps: Step[] = [];
        for (const [index, stored] of all.entries()) {
          if (!stored && !allowMissing) return refuse(jobNotFound(names[index] ?? "", `job_ids[${index}]`));
          // One that is named twice, by its id and by its key perhaps, is deleted by then.
          if (!stored || seen.has(stored.jobId)) steps.push({ kind: "missing" });
          else steps.push(stepTo(stored, storedState.deleted, nowMs));
          if (stored) seen.add(stored.jobId);
        }
        return accept(steps);
      };
      const steps = await changeNamed(names, decideAll, { validateOnly, stops: true });
      return steps.filter(({ kind }) => kind === "changed").length;
    },
  };
}

/** The refusal of a call that is for another state of the job; undefined when there is none. */
export function checkEtag({ jobId, generation }: StoredJob, etag: string): Decision<never> | undefined {
  const current = etagOf(jobId, generation);
  return etag === "" || etag === current ? undefined : refuse(etagMismatch(jobId, current));
}

export function stepTo(stored: StoredJob, state: StoredState, nowMs: number): Step {
  if (stored.state === state) return { kind: "kept", stored };
  return { kind: "changed", stored: changedJob(stored, { state, retimed: true, nowMs }) };
}
