import { equals, toBinary } from "@bufbuild/protobuf";
import { type Job, JobSchema, type UpdateJobRequest } from "../../../gen/carillon/v1/job_pb.ts";
import { type Clock, secondOf } from "../../platform/process/clock.ts";
import { invalidField, invalidFields } from "../../platform/rpc/errors/rpc-error.ts";
import { type CreateLane, lanes } from "../store/contract.ts";
import type { JobName } from "../store/named-jobs.ts";
import { createDefinitionCheck } from "./definition-check.ts";
import { type FieldPath, maskOfPopulated, mergeFields, parseMask } from "./field-mask.ts";
import { checkEtag } from "./job-changes.ts";
import { defineJob, withoutDerivedDefaults } from "./job-definition.ts";
import { readJobName, writeJobName } from "./job-names.ts";
import { sameTiming } from "./job-timing.ts";
import type { ChangeNamed, Step } from "./named-changes.ts";
import { accept, type Decision, etagMismatch, jobNotFound, namedTwice, refuse, tooMuchAtOnce } from "./refusals.ts";
import { changedJob, newJob, type StoredJob, validatedView, viewOf } from "./stored-job.ts";

export interface JobUpdates {
  one(request: UpdateJobRequest): Promise<UpdatedJobs>;
  /** All of them in one transaction, or none. */
  batch(requests: readonly UpdateJobRequest[], validateOnly: boolean): Promise<UpdatedJobs>;
}

export interface UpdatedJobs {
  jobs: Job[];
  /** How many of them were created, and how many were there and have changed. */
  created: number;
  changed: number;
}

/** A request that has been understood, and not yet been decided on. */
interface Draft {
  name: JobName;
  /** The field that names the job. */
  namedBy: "job_id" | "key";
  job: Job;
  paths: readonly FieldPath[];
  etag: string;
  /** Whether the job is created when it is missing. */
  creates: boolean;
  /** Where it stands in the call: "" or "requests[3].". */
  prefix: string;
}

/** Changes definitions, and creates what is missing where that was asked for (AIP-134). */
export function createJobUpdates(deps: {
  changeNamed: ChangeNamed;
  clock: Clock;
  nextJobId: () => string;
}): JobUpdates {
  const { changeNamed, clock, nextJobId } = deps;
  const checkDefinition = createDefinitionCheck();

  const update = (draft: Draft, stored: StoredJob, nowMs: number): Decision<Step> => {
    const stale = checkEtag(stored, draft.etag);
    if (stale) return stale;
    const definition = merge(stored.job, draft.job, draft.paths);
    const before = defineJob(stored.job);
    if (equals(JobSchema, definition, before)) return accept({ kind: "kept", stored });
    const retimed = !sameTiming(definition, before);
    const refusal = checkDefinition(definition, stored, `${draft.prefix}job.`, retimed ? secondOf(nowMs) : undefined);
    if (refusal) return refuse(refusal);
    return accept({ kind: "changed", stored: changedJob(stored, { definition, retimed, nowMs }) });
  };

  /** `jobId`: the one that it gets. */
  const create = (draft: Draft, jobId: () => string, nowMs: number): Decision<Step> => {
    const { name, prefix } = draft;
    if (!draft.creates) return refuse(jobNotFound(name, prefix === "" ? undefined : `${prefix}job.${draft.namedBy}`));
    if (draft.etag !== "") return refuse(etagMismatch(writeJobName(name), ""));
    const stored = newJob(jobId(), defineJob(draft.job), nowMs);
    const refusal = checkDefinition(stored.job, stored, `${prefix}job.`, secondOf(nowMs));
    return refusal ? refuse(refusal) : accept({ kind: "created", stored });
  };

  const updateAll = async (drafts: readonly Draft[], how: { lane: CreateLane; validateOnly: boolean }) => {
    // The store may ask more than once: what it is told the last time has the ids of the first.
    const ids: string[] = [];
    const decideAll = (all: readonly (StoredJob | undefined)[], nowMs: number): Decision<readonly Step[]> => {
      const twice = findNamedTwice(drafts, all);
      if (twice) return refuse(twice);
      const steps: Step[] = [];
      for (const [index, draft] of drafts.entries()) {
        const stored = all[index];
        const jobId = () => (ids[index] ??= nextJobId());
        const decision = stored ? update(draft, stored, nowMs) : create(draft, jobId, nowMs);
        if (!decision.ok) return decision;
        steps.push(decision.value);
      }
      const tooMuch = drafts.length > 1 ? tooMuchAtOnce(sizeOf(steps), "requests") : undefined;
      return tooMuch ? refuse(tooMuch) : accept(steps);
    };
    const steps = await changeNamed(
      drafts.map(({ name }) => name),
      decideAll,
      { ...how, prefixOf: (index) => drafts[index]?.prefix ?? "" },
    );
    const view = how.validateOnly
      ? validatedView
      : (step: Step & { stored: StoredJob }, nowMs: number) => viewOf(step.stored, nowMs);
    const nowMs = clock.nowMs();
    return {
      jobs: steps.flatMap((step) => (step.kind === "missing" ? [] : [view(step, nowMs)])),
      created: steps.filter(({ kind }) => kind === "created").length,
      changed: steps.filter(({ kind }) => kind === "changed").length,
    };
  };

  return {
    one: (request) => updateAll([draftOf(request, "")], { lane: lanes.create, validateOnly: request.validateOnly }),
    async batch(requests, validateOnly) {
      const drafts = requests.map((request, index) => draftOf(request, `requests[${index}].`));
      const single = requests.findIndex((request) => request.validateOnly);
      if (single >= 0) throw invalidField(`requests[${single}].validate_only`, "is said once, for the whole batch");
      return updateAll(drafts, { lane: lanes.batchCreate, validateOnly });
    },
  };
}

function sizeOf(steps: readonly Step[]): number {
  let bytes = 0;
  for (const step of steps) if (step.kind !== "missing") bytes += toBinary(JobSchema, step.stored.job).length;
  return bytes;
}

function draftOf({ job, updateMask, allowMissing }: UpdateJobRequest, prefix: string): Draft {
  if (!job) throw invalidField(`${prefix}job`, "value is required");
  if (job.jobId === "" && job.key === "") throw invalidField(`${prefix}job.job_id`, "value is required");
  const namedBy = job.jobId === "" ? "key" : "job_id";
  const name = namedBy === "key" ? { key: job.key } : readJobName(job.jobId);
  const maskPaths = updateMask?.paths ?? [];
  const draft = { name, namedBy, job, etag: job.etag, prefix } as const;
  if (typeof name === "string") return { ...draft, paths: pathsOf(job, maskPaths, prefix), creates: false };
  if (allowMissing && name.key === "") throw invalidField(`${prefix}job.job_id`, "names an empty key");
  if (allowMissing && job.key !== "" && job.key !== name.key) {
    throw invalidField(`${prefix}job.key`, "is not the one in job_id, by which the job would be created");
  }
  // By whatever name it is called, a job keeps it, unless the mask says otherwise in so many words.
  const keeps = job.key === "" && (allowMissing || isAll(maskPaths));
  const named = keeps ? { ...job, key: name.key } : job;
  return { ...draft, job: named, paths: pathsOf(named, maskPaths, prefix), creates: allowMissing };
}

const isAll = (maskPaths: readonly string[]) => maskPaths.length === 1 && maskPaths[0] === "*";

function pathsOf(job: Job, maskPaths: readonly string[], prefix: string): readonly FieldPath[] {
  if (maskPaths.length === 0) return maskOfPopulated(job);
  const mask = parseMask(maskPaths);
  if (mask.ok) return mask.paths;
  throw invalidFields(
    mask.problems.map((description) => ({ field: `${prefix}update_mask`, description })),
    "UPDATE_MASK_INVALID",
  );
}

function merge(stored: Job, given: Job, paths: readonly FieldPath[]): Job {
  return defineJob(mergeFields(paths, given, withoutDerivedDefaults(stored)));
}

/** The refusal of a batch in which two requests are for one job, by whatever name. */
function findNamedTwice(drafts: readonly Draft[], all: readonly (StoredJob | undefined)[]) {
  const seen = new Map<string, number>();
  for (const [index, { name, namedBy, prefix }] of drafts.entries()) {
    const job = all[index]?.jobId ?? writeJobName(name);
    const first = seen.get(job);
    if (first !== undefined) return namedTwice(`${prefix}job.${namedBy}`, drafts[first]?.prefix ?? "");
    seen.set(job, index);
  }
  return undefined;
}
