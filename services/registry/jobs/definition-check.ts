import { pathToString } from "@bufbuild/protobuf/reflect";
import { createValidator } from "@bufbuild/protovalidate";
import { type Job, JobSchema } from "../../../gen/carillon/v1/job_pb.ts";
import { invalidFields, type RpcError } from "../../platform/rpc/errors/rpc-error.ts";
import { problemsOfJob, unservedFields } from "./job-rules.ts";
import { fieldsNotImplemented, invalidJob } from "./refusals.ts";
import type { StoredJob } from "./stored-job.ts";

/**
 * Holds a definition that a change has made to the rules of the proto and of the domain: returns the refusal, if there
 * is one. `afterSecond`: the second after which it must have an occurrence, where its timing is new. `prefix` is where
 * the job stands in the request: "job." or "requests[3].job.".
 */
export type DefinitionCheck = (
  definition: Job,
  stored: StoredJob,
  prefix: string,
  afterSecond: number | undefined,
) => RpcError | undefined;

export function createDefinitionCheck(): DefinitionCheck {
  const validator = createValidator();
  return (definition, stored, prefix, afterSecond) => {
    const result = validator.validate(JobSchema, definition);
    if (result.kind === "error") throw result.error;
    if (result.kind === "invalid") {
      return invalidFields(
        result.violations.map(({ field, forKey, message }) => ({
          field: prefix + pathToString(field),
          description: forKey ? `key ${message}` : message,
        })),
      );
    }
    const createdSecond = Number(stored.job.createdAt?.seconds ?? 0n);
    const context = { jobId: stored.jobId, createdSecond, ...(afterSecond !== undefined && { afterSecond }) };
    const problems = problemsOfJob(definition, context, prefix);
    if (problems.length > 0) return invalidJob(problems);
    const unserved = unservedFields(definition, prefix);
    return unserved.length > 0 ? fieldsNotImplemented(unserved) : undefined;
  };
}
