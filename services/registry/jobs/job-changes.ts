import { clone, equals } from "@bufbuild/protobuf";
import { pathToString } from "@bufbuild/protobuf/reflect";
import { createValidator } from "@bufbuild/protovalidate";
import { type Job, JobSchema, type UpdateJobRequest } from "../../../gen/carillon/v1/job_pb.ts";
import { type Clock, secondOf } from "../../platform/process/clock.ts";
import { invalidField, invalidFields } from "../../platform/rpc/errors/rpc-error.ts";
import { type JobRow, type RegistryStore, type RowDecision, type StoredState, storedState } from "../store/contract.ts";
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
import {
  type Change,
  changedRecord,
  decodeRecord,
  encodeRecord,
  etagOf,
  type JobRecord,
  viewOf,
} from "./stored-job.ts";

export interface ChangeJobs {
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
}): ChangeJobs {
  const { store, clock, published } = deps;
  const checkDefinition = createDefinitionCheck();

  const change = async (
    jobId: string,
    etag: string,
    decide: (record: JobRecord, nowMs: number) => Decision<Change | undefined>,
  ): Promise<JobRecord> => {
    const decision = await store.changeJob(
      jobId,
      (row: JobRow): RowDecision<Decision<{ record: JobRecord; changed: boolean }>> => {
        const record = decodeRecord(row);
        const current = etagOf(jobId, record.generation);
        if (etag !== "" && etag !== current) return { answer: refuse(etagMismatch(jobId, current)) };
        const decision = decide(record, clock.nowMs());
        if (!decision.ok) return { answer: decision };
        if (!decision.value) return { answer: accept({ record, changed: false }) };
        const next = changedRecord(record, decision.value);
        return { next: encodeRecord(next), answer: accept({ record: next, changed: true }) };
      },
    );
    if (!decision) throw jobNotFound(jobId);
    const { record, changed } = unwrap(decision);
    // Whoever has the answer may rely on it: nothing that was changed away from starts any more.
    await published(jobId, record.generation, changed);
    return record;
  };

  const setState = async (jobId: string, state: StoredState) => {
    const record = await change(jobId, "", (current, nowMs) =>
      accept(current.state === state ? undefined : { state, retimed: true, nowMs }),
    );
    return viewOf(record, clock.nowMs());
  };

  return {
    async update({ job, updateMask }) {
      if (!job) throw invalidField("job", "value is required");
      if (job.jobId === "") throw invalidField("job.job_id", "value is required");
      const paths = pathsOf(job, updateMask?.paths ?? []);
      const record = await change(job.jobId, job.etag, (current, nowMs) => {
        const definition = merge(current.job, job, paths);
        const before = defineJob(current.job);
        if (equals(JobSchema, definition, before)) return accept(undefined);
        const retimed = !sameTiming(definition, before);
        const refusal = checkDefinition(definition, current, retimed ? secondOf(nowMs) : undefined);
        return refusal ? refuse(refusal) : accept({ definition, retimed, nowMs });
      });
      return viewOf(record, clock.nowMs());
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

/** The rules of the proto and of the domain over a merged job. */
function createDefinitionCheck() {
  const validator = createValidator();
  return (definition: Job, record: JobRecord, afterSecond: number | undefined) => {
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
    const createdSecond = Number(record.job.createdAt?.seconds ?? 0n);
    const context = { jobId: record.jobId, createdSecond, ...(afterSecond !== undefined && { afterSecond }) };
    const problems = problemsOfJob(definition, context, "job.");
    if (problems.length > 0) return invalidJob(problems);
    const unserved = unservedFields(definition, "job.");
    return unserved.length > 0 ? fieldsNotImplemented(unserved) : undefined;
  };
}
