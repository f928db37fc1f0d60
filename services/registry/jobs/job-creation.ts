import { createHash } from "node:crypto";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { type CreateJobRequest, type Job, JobSchema } from "../../../gen/carillon/v1/job_pb.ts";
import { type Clock, secondOf } from "../../platform/process/clock.ts";
import { invalidField, type RpcError } from "../../platform/rpc/errors/rpc-error.ts";
import {
  type CreateLane,
  lanes,
  type RegistryStore,
  type RememberedAnswer,
  type RememberedCall,
} from "../store/contract.ts";
import { sameContents } from "../store/plan-creations.ts";
import { defineJob } from "./job-definition.ts";
import { problemsOfJob, unservedFields } from "./job-rules.ts";
import { type FieldProblem, fieldsNotImplemented, invalidJob, requestIdReused } from "./refusals.ts";
import { requestMemoryMs } from "./request-sweeper.ts";
import { encodeRecord, type JobRecord, newRecord, viewOf } from "./stored-job.ts";

export interface CreateJobs {
  one(request: CreateJobRequest): Promise<Job>;
  /** All of them in one transaction, or none. */
  batch(requests: readonly CreateJobRequest[]): Promise<Job[]>;
}

/** A request that has been understood, and not yet been decided on. */
interface Draft {
  definition: Job;
  /** What it came with though the server makes it. */
  madeByServer: readonly FieldProblem[];
  /** Where it stands in the call: "" or "requests[3].". */
  prefix: string;
  requestId: string;
  /** Of the definition: defaults that were written out make no difference. Only with a request id. */
  fingerprint: Uint8Array | undefined;
}

export function createJobCreation(deps: {
  store: Pick<RegistryStore, "createJobs" | "findAnswers">;
  clock: Clock;
  nextJobId: () => string;
}): CreateJobs {
  const { store, clock, nextJobId } = deps;

  /** The answers of before, if each of these was answered before; a repeat with other contents throws. */
  const recallAll = async (drafts: readonly Draft[], sinceMs: number): Promise<Job[] | undefined> => {
    if (drafts.some(({ requestId }) => requestId === "")) return undefined;
    const found = await store.findAnswers(
      drafts.map(({ requestId }) => requestId),
      sinceMs,
    );
    if (found.includes(undefined)) return undefined;
    return drafts.map((draft, index) => answerOf(draft, found[index]));
  };

  const createAll = async (drafts: readonly Draft[], lane: CreateLane): Promise<Job[]> => {
    const sinceMs = clock.nowMs() - requestMemoryMs;
    // A repeated call is answered also when its contents would not be accepted
    // any more: an @at that has passed since.
    const repeated = await recallAll(drafts, sinceMs);
    if (repeated) return repeated;
    const records = drafts.map(({ definition }) => newRecord(nextJobId(), definition, clock.nowMs()));
    const refusal = refusalOf(records, drafts);
    if (refusal) throw refusal;
    const answers = records.map((record) => viewOf(record, record.effectiveFromMs));
    const creations = records.map((record, index) => ({
      row: encodeRecord(record),
      request: rememberedCall(drafts[index], answers[index], record.effectiveFromMs),
    }));
    const bytes = creations.reduce((sum, { row }) => sum + row.job.length, 0);
    if (drafts.length > 1 && bytes > answerBytes) throw tooMuchAtOnce(bytes);
    const outcome = await store.createJobs(creations, { lane, sinceMs });
    if (outcome.kind === "reused") throw requestIdReused(`${drafts[outcome.index]?.prefix ?? ""}request_id`);
    for (const [index, earlier] of outcome.earlier) answers[index] = fromBinary(JobSchema, earlier);
    return answers;
  };

  return {
    async one(request) {
      const [job] = await createAll([draftOf(request, "")], lanes.create);
      if (!job) throw new Error("a create without an answer");
      return job;
    },
    batch: (requests) =>
      createAll(
        requests.map((request, index) => draftOf(request, `requests[${index}].`)),
        lanes.batchCreate,
      ),
  };
}

/**
 * What the jobs in one answer may take. gRPC clients refuse messages of more
 * than 4 MiB unless told otherwise, and one that cannot read the answer to its
 * batch does not know that it was created. The rest is for what a view adds to a job.
 */
export const answerBytes = 3.5 * 1024 * 1024;

function tooMuchAtOnce(bytes: number): RpcError {
  const mib = (count: number) => (count / 2 ** 20).toFixed(1);
  const description = `take ${mib(bytes)} MiB with their defaults; one call creates at most ${mib(answerBytes)} MiB`;
  return invalidField("requests", description, "BATCH_TOO_LARGE");
}

function draftOf({ job, requestId }: CreateJobRequest, prefix: string): Draft {
  // The check of the request has refused those without a job.
  if (!job) throw new Error("a create without a job");
  const definition = defineJob(job);
  const fingerprint =
    requestId === "" ? undefined : createHash("sha256").update(toBinary(JobSchema, definition)).digest();
  return { definition, madeByServer: madeByServer(job, `${prefix}job.`), prefix, requestId, fingerprint };
}

function madeByServer({ jobId, etag }: Job, prefix: string): readonly FieldProblem[] {
  if (jobId === "" && etag === "") return [];
  const description = "is made by the server and must be left out";
  return [
    ...(jobId === "" ? [] : [{ field: `${prefix}job_id`, description, reason: "JOB_ID_NOT_ALLOWED" }]),
    ...(etag === "" ? [] : [{ field: `${prefix}etag`, description, reason: "ETAG_NOT_ALLOWED" }]),
  ];
}

function refusalOf(records: readonly JobRecord[], drafts: readonly Draft[]): RpcError | undefined {
  const problems: FieldProblem[] = [];
  const unserved: FieldProblem[] = [];
  for (const [index, { job, jobId, effectiveFromMs }] of records.entries()) {
    const draft = drafts[index];
    const prefix = `${draft?.prefix ?? ""}job.`;
    if (draft) problems.push(...draft.madeByServer);
    const second = secondOf(effectiveFromMs);
    problems.push(...problemsOfJob(job, { jobId, createdSecond: second, afterSecond: second }, prefix));
    unserved.push(...unservedFields(job, prefix));
  }
  if (problems.length > 0) return invalidJob(problems);
  return unserved.length > 0 ? fieldsNotImplemented(unserved) : undefined;
}

function rememberedCall(
  draft: Draft | undefined,
  answer: Job | undefined,
  calledMs: number,
): RememberedCall | undefined {
  if (!draft?.fingerprint || !answer) return undefined;
  const { requestId, fingerprint } = draft;
  return { requestId, fingerprint, answer: toBinary(JobSchema, answer), calledMs };
}

function answerOf({ fingerprint, prefix }: Draft, earlier: RememberedAnswer | undefined): Job {
  if (!earlier || !fingerprint) throw new Error("a call is recalled that was not answered");
  if (!sameContents(earlier, { fingerprint, answer: earlier.answer })) throw requestIdReused(`${prefix}request_id`);
  return fromBinary(JobSchema, earlier.answer);
}
