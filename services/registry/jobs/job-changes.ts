import { clone, equals } from "@bufbuild/protobuf";
import { pathToString } from "@bufbuild/protobuf/reflect";
import { createValidator } from "@bufbuild/protovalidate";
import { type Job, JobSchema, type UpdateJobRequest } from "../../../gen/carillon/v1/job_pb.ts";
import { type Clock, secondOf } from "../../platform/process/clock.ts";
import { invalidField, invalidFields } from "../../platform/rpc/errors/rpc-error.ts";
import { type JobRow, type RegistryStore, type RowChange, type StoredState, storedState } from "../store/contract.ts";
import { copyFields, type FieldPath, maskOfPopulated, parseMask } from "./field-mask.ts";
import { defineJob, withoutDerivedDefaults } from "./job-definition.ts";
import { problemsOfJob, unservedFields } from "./job-rules.ts";
import { sameTiming } from "./job-timing.ts";
import {
  accept,
  type Decision,
  etagMismatch,
  fieldsNotImplemented,
  invalidJob,
  jobNotFound,
  refuse,
  unwrap,
} from "./refusals.ts";
import { type Change, changedJob, decodeRow, encodeRow, etagOf, type StoredJob, viewOf } from "./stored-job.ts";

export interface JobChanges {
  update(request: UpdateJobRequest): Promise<Job>;
  /** `etag` "" asks for none in particular. */
  remove(jobId: string, etag: string): Promise<void>;
  pause(jobId: string): Promise<Job>;
  resume(jobId: string): Promise<Job>;
}

/**
 * Resolves once the streams have a job's state of this generation, or cannot
 * have it soon. `changed`: whether this call made it; otherwise it is waited for
 * only if another call is about to publish it.
 */
export type ChangePublished = (jobId: string, generation: number, changed: boolean) => Promise<void>;

/** What changes a job that stands. Each is decided and written in one transaction; what changes nothing writes nothing. */
export function createJobChanges(deps: {
  store: Pick<RegistryStore, "changeJob">;
  clock: Clock;
  published: ChangePublished;
}): JobChanges {
  const { store, clock, published } = deps;
  const checkDefinition = createDefinitionCheck();

  const change = async (
    jobId: string,
    etag: string,
    decide: (stored: StoredJob, nowMs: number) => Decision<Change | undefined>,
  ): Promise<StoredJob> => {
    const answer = await store.changeJob(
      jobId,
      (row: JobRow): RowChange<Decision<{ stored: StoredJob; changed: boolean }>> => {
        const stored = decodeRow(row);
        const current = etagOf(jobId, stored.generation);
        if (etag !== "" && etag !== current) return { answer: refuse(etagMismatch(jobId, current)) };
        const decision = decide(stored, clock.nowMs());
        if (!decision.ok) return { answer: decision };
        if (!decision.value) return { answer: accept({ stored, changed: false }) };
        const next = changedJob(stored, decision.value);
        return { next: encodeRow(next), answer: accept({ stored: next, changed: true }) };
      },
    );
    if (!answer) throw jobNotFound(jobId);
    const { stored, changed } = unwrap(answer);
    // Whoever has the answer may rely on it: nothing that was changed away from starts any more.
    await published(jobId, stored.generation, changed);
    return stored;
  };

  const setState = async (jobId: string, state: StoredState) => {
    const stored = await change(jobId, "", (current, nowMs) =>
      accept(current.state === state ? undefined : { state, retimed: true, nowMs }),
    );
    return viewOf(stored, clock.nowMs());
  };

  return {
    async update({ job, updateMask }) {
      if (!job) throw invalidField("job", "value is required");
      if (job.jobId === "") throw invalidField("job.job_id", "value is required");
      const paths = pathsOf(job, updateMask?.paths ?? []);
      const stored = await change(job.jobId, job.etag, (current, nowMs) => {
        const definition = merge(current.job, job, paths);
        const before = defineJob(current.job);
        if (equals(JobSchema, definition, before)) return accept(undefined);
        const retimed = !sameTiming(definition, before);
        const refusal = checkDefinition(definition, current, retimed ? secondOf(nowMs) : undefined);
        return refusal ? refuse(refusal) : accept({ definition, retimed, nowMs });
      });
      return viewOf(stored, clock.nowMs());
    },
    async remove(jobId, etag) {
      await change(jobId, etag, (_, nowMs) => accept({ state: storedState.deleted, retimed: true, nowMs }));
    },
    pause: (jobId) => setState(jobId, storedState.paused),
    resume: (jobId) => setState(jobId, storedState.active),
  };
}

function pathsOf(job: Job, maskPaths: readonly string[]): FieldPath[] {
  if (maskPaths.length === 0) return maskOfPopulated(job);
  const mask = parseMask(maskPaths);
  if (mask.ok) return mask.paths;
  throw invalidFields(
    mask.problems.map((description) => ({ field: "update_mask", description })),
    "UPDATE_MASK_INVALID",
  );
}

function merge(stored: Job, given: Job, paths: readonly FieldPath[]): Job {
  const merged = clone(JobSchema, withoutDerivedDefaults(stored));
  copyFields(paths, given, merged);
  return defineJob(merged);
}

/** Holds a merged job to the rules of the proto and of the domain: returns the refusal, if there is one. */
function createDefinitionCheck() {
  const validator = createValidator();
  return (definition: Job, stored: StoredJob, afterSecond: number | undefined) => {
    const result = validator.validate(JobSchema, definition);
    if (result.kind === "error") throw result.error;
    if (result.kind === "invalid") {
      return invalidFields(
        result.violations.map(({ field, forKey, message }) => ({
          field: `job.${pathToString(field)}`,
          description: forKey ? `key ${message}` : message,
        })),
      );
    }
    const createdSecond = Number(stored.job.createdAt?.seconds ?? 0n);
    const context = { jobId: stored.jobId, createdSecond, ...(afterSecond !== undefined && { afterSecond }) };
    const problems = problemsOfJob(definition, context, "job.");
    if (problems.length > 0) return invalidJob(problems);
    const unserved = unservedFields(definition, "job.");
    return unserved.length > 0 ? fieldsNotImplemented(unserved) : undefined;
  };
}
