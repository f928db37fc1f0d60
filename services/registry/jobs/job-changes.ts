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
  pause(jobId: string, etag: string): Promise<Job>;
  resume(jobId: string, etag: string): Promise<Job>;
}

/**
 * Makes a call that may change a job, and resolves with its answer once the
 * streams have the state that it answers with, or cannot have it soon.
 * `changed`: whether the call has made that state.
 */
export type AfterPublication = <T extends { generation: number; changed: boolean }>(
  jobId: string,
  call: () => Promise<T>,
) => Promise<T>;

/** What a call has made of a job, or left as it is. */
interface Decided {
  stored: StoredJob;
  generation: number;
  changed: boolean;
}

/** What changes a job that stands. Each is decided and written in one transaction; what changes nothing writes nothing. */
export function createJobChanges(deps: {
  store: Pick<RegistryStore, "changeJob">;
  clock: Clock;
  afterPublication: AfterPublication;
}): JobChanges {
  const { store, clock, afterPublication } = deps;
  const checkDefinition = createDefinitionCheck();

  type Decide = (stored: StoredJob, nowMs: number) => Decision<Change | undefined>;
  const decideOn = (row: JobRow, etag: string, decide: Decide): RowChange<Decision<Decided>> => {
    const stored = decodeRow(row);
    const { jobId, generation } = stored;
    const current = etagOf(jobId, generation);
    if (etag !== "" && etag !== current) return { answer: refuse(etagMismatch(jobId, current)) };
    const decision = decide(stored, clock.nowMs());
    if (!decision.ok) return { answer: decision };
    if (!decision.value) return { answer: accept({ stored, generation, changed: false }) };
    const next = changedJob(stored, decision.value);
    const answer = accept({ stored: next, generation: next.generation, changed: true });
    return { next: encodeRow(next), answer };
  };

  const change = async (jobId: string, etag: string, decide: Decide): Promise<StoredJob> => {
    // Whoever has the answer may rely on it: no call starts any more that follows the state before.
    const { stored } = await afterPublication(jobId, async () => {
      const decision = await store.changeJob(jobId, (row) => decideOn(row, etag, decide));
      if (!decision) throw jobNotFound(jobId);
      return unwrap(decision);
    });
    return stored;
  };

  const setState = (state: StoredState) => async (jobId: string, etag: string) => {
    const stored = await change(jobId, etag, (current, nowMs) =>
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
    pause: setState(storedState.paused),
    resume: setState(storedState.active),
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
