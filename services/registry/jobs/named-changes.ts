import type { Clock } from "../../platform/process/clock.ts";
import { type CreateLane, type JobRow, lanes, type RegistryStore } from "../store/contract.ts";
import type { ChangedJobs, JobName, JobsChange } from "../store/named-jobs.ts";
import { findJobId } from "./job-names.ts";
import { accept, changePending, type Decision, keyTaken, unwrap } from "./refusals.ts";
import { decodeRow, encodeRow, type StoredJob } from "./stored-job.ts";

/**
 * Makes a call that may change jobs, and resolves with its answer once the
 * streams have what it made of them, or cannot have it soon.
 * `made`: by job, the generation that the call has made. `stops`: as in ChangeNamedHow. `unheard`: of these jobs those
 * whose state may not have reached executors.
 */
export type AfterPublication = <T extends { made: ReadonlyMap<string, number> }>(
  jobIds: readonly string[],
  call: () => Promise<T>,
  how?: { stops: boolean },
) => Promise<{ answer: T; unheard: readonly string[] }>;

/** What a call makes of a job. */
export type Step =
  | { kind: "kept"; stored: StoredJob }
  | { kind: "changed" | "created"; stored: StoredJob }
  /** There is none, and none is made. */
  | { kind: "missing" };

/** `stored`: the jobs as they are, in the order of their names; undefined where there is none. */
export type DecideSteps = (stored: readonly (StoredJob | undefined)[], nowMs: number) => Decision<readonly Step[]>;

export interface ChangeNamedHow {
  /** Where each job stands in the call: "" or "requests[3].". */
  prefixOf?: (index: number) => string;
  lane?: CreateLane;
  validateOnly?: boolean;
  /** Whoever has the answer relies on it that no call of these jobs starts any more: where that is not sure it is refused, though done. */
  stops?: boolean;
}

/** Decides over named jobs and writes what was decided, in one transaction; what changes nothing writes nothing. */
export type ChangeNamed = (
  names: readonly JobName[],
  decide: DecideSteps,
  how?: ChangeNamedHow,
) => Promise<readonly Step[]>;

type Outcome = { made: ReadonlyMap<string, number>; steps: Decision<readonly Step[]> } | undefined;

const noneMade: ReadonlyMap<string, number> = new Map();

export function createChangeNamed(deps: {
  store: Pick<RegistryStore, "changeJobs" | "findKeys">;
  clock: Clock;
  afterPublication: AfterPublication;
}): ChangeNamed {
  const { store, clock, afterPublication } = deps;

  const decideOn = (rows: readonly (JobRow | undefined)[], decide: DecideSteps): JobsChange<Outcome> => {
    const decision = decide(
      rows.map((row) => row && decodeRow(row)),
      clock.nowMs(),
    );
    if (!decision.ok) return { next: [], answer: { made: noneMade, steps: decision } };
    const made = new Map<string, number>();
    for (const step of decision.value) {
      if (step.kind === "changed") made.set(step.stored.jobId, step.stored.generation);
    }
    const next = decision.value.map((step) =>
      step.kind === "changed" || step.kind === "created" ? encodeRow(step.stored) : undefined,
    );
    return { next, answer: { made, steps: decision } };
  };

  return async (
    names,
    decide,
    { prefixOf = () => "", lane = lanes.create, validateOnly = false, stops = false } = {},
  ) => {
    for (;;) {
      const ids = await Promise.all(names.map((name) => findJobId(store, name)));
      const followed = new Set(ids.filter((id) => id !== undefined));
      const isFollowed = (row: JobRow | undefined) => row === undefined || followed.has(row.jobId);
      const call = async () => {
        const changed: ChangedJobs<Outcome> = await store.changeJobs(
          names,
          (rows) => (rows.every(isFollowed) ? decideOn(rows, decide) : { next: [], answer: undefined }),
          { lane, validateOnly },
        );
        const made = changed.kind === "changed" && !validateOnly ? (changed.answer?.made ?? noneMade) : noneMade;
        return { made, changed };
      };
      // Whoever has the answer may rely on it: no call starts any more that follows the state before.
      const { answer, unheard } = validateOnly
        ? { answer: await call(), unheard: [] }
        : await afterPublication([...followed], call, { stops });
      const { changed } = answer;
      if (changed.kind === "taken") throw keyTaken(changed, prefixOf);
      // Undefined: a key went to another job since it was looked up, whose publication would not be waited for.
      if (!changed.answer) continue;
      const { steps } = changed.answer;
      const isDone = steps.ok || steps.refusal.code === "NOT_FOUND";
      if (stops && unheard.length > 0 && isDone) throw changePending(unheard);
      return unwrap(steps);
    }
  };
}

/** Changes one job; `decide` is asked for one that is there. */
export async function changeOne(
  changeNamed: ChangeNamed,
  name: JobName,
  decide: (stored: StoredJob, nowMs: number) => Decision<Step>,
  missing: () => Decision<Step>,
  how?: ChangeNamedHow,
): Promise<Step> {
  const decideOne: DecideSteps = ([stored], nowMs) => {
    const decision = stored ? decide(stored, nowMs) : missing();
    return decision.ok ? accept([decision.value]) : decision;
  };
  const [step] = await changeNamed([name], decideOne, how);
  if (!step) throw new Error("a change without a step");
  return step;
}
