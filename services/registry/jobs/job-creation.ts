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
  sameContents,
} from "../store/contract.ts";
import { defineJob } from "./job-definition.ts";
import { problemsOfJob, unservedFields } from "./job-rules.ts";
import {
  type FieldProblem,
  fieldsNotImplemented,
  invalidJob,
  keyTaken,
  requestIdReused,
  tooMuchAtOnce,
} from "./refusals.ts";
import { requestMemoryMs } from "./request-sweeper.ts";
import { encodeRow, newJob, type StoredJob, validatedView, viewOf } from "./stored-job.ts";

export interface JobCreation {
  one(request: CreateJobRequest): Promise<Job>;
  /** All of them in one transaction, or none. */
  batch(requests: readonly CreateJobRequest[], validateOnly: boolean): Promise<Job[]>;
}

/** A request that has been understood, and not yet been decided on. */
interface Draft {
  definition: Job;
  /** Fields that the client set although the server makes them. */
  madeByServer: readonly FieldProblem[];
  /** Where it stands in the call: "" or "requests[3].". */
  prefix: string;
  requestId: string;
  /**
   * Names the contents of the call when it comes with a request id. It is made of the definition, in which all defaults
   * are written out: whether the client wrote them makes no difference.
   */
  fingerprint: Uint8Array | undefined;
}

export function createJobCreation(deps: {
  store: Pick<RegistryStore, "createJobs" | "findAnswers">;
  clock: Clock;
  nextJobId: () => string;
}): JobCreation {
  const { store, clock, nextJobId } = deps;

  /** What these calls were answered before; undefined unless all of them were. Throws when one of them had other contents. */
  const recallAll = async (drafts: readonly Draft[], sinceMs: number): Promise<Job[] | undefined> => {
    if (drafts.some(({ requestId }) => requestId === "")) return undefined;
    const found = await store.findAnswers(
      drafts.map(({ requestId }) => requestId),
      sinceMs,
    );
    if (found.includes(undefined)) return undefined;
    return drafts.map((draft, index) => answerOf(draft, found[index]));
  };

  const createAll = async (
    drafts: readonly Draft[],
    { lane, validateOnly }: { lane: CreateLane; validateOnly: boolean },
  ): Promise<Job[]> => {
    const sinceMs = clock.nowMs() - requestMemoryMs;
    // Before the rules are asked: a repeated call is answered also when its contents
    // would be refused by now, as an @at that has passed since.
    const repeated = await recallAll(drafts, sinceMs);
    if (repeated) return repeated;
    const jobs = drafts.map(({ definition }) => newJob(nextJobId(), definition, clock.nowMs()));
    const refusal = refusalOf(jobs, drafts);
    if (refusal) throw refusal;
    const answers = jobs.map((stored) =>
      validateOnly
        ? validatedView({ kind: "created", stored }, stored.effectiveFromMs)
        : viewOf(stored, stored.effectiveFromMs),
    );
    const rows = jobs.map((job, index) => ({
      row: encodeRow(job),
      request: rememberedCall(drafts[index], answers[index], job.effectiveFromMs),
    }));
    const bytes = rows.reduce((sum, { row }) => sum + row.job.length, 0);
    const tooMuch = drafts.length > 1 ? tooMuchAtOnce(bytes, "requests") : undefined;
    if (tooMuch) throw tooMuch;
    const created = await store.createJobs(rows, { lane, sinceMs, validateOnly });
    if (created.kind === "taken") throw keyTaken(created, (index) => drafts[index]?.prefix ?? "");
    if (created.kind === "reused") throw requestIdReused(`${drafts[created.index]?.prefix ?? ""}request_id`);
    for (const [index, earlier] of created.earlier) answers[index] = fromBinary(JobSchema, earlier);
    return answers;
  };

  return {
    async one(request) {
      const how = { lane: lanes.create, validateOnly: request.validateOnly };
      const [job] = await createAll([draftOf(request, "")], how);
      if (!job) throw new Error("a create without an answer");
      return job;
    },
    batch(requests, validateOnly) {
      const single = requests.findIndex((request) => request.validateOnly);
      if (single >= 0) throw invalidField(`requests[${single}].validate_only`, "is said once, for the whole batch");
      const drafts = requests.map((request, index) => draftOf(request, `requests[${index}].`));
      return createAll(drafts, { lane: lanes.batchCreate, validateOnly });
    },
  };
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

function refusalOf(jobs: readonly StoredJob[], drafts: readonly Draft[]): RpcError | undefined {
  const problems: FieldProblem[] = [];
  const unserved: FieldProblem[] = [];
  for (const [index, { job, jobId, effectiveFromMs }] of jobs.entries()) {
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
  if (!sameContents(earlier, { fingerprint })) throw requestIdReused(`${prefix}request_id`);
  return fromBinary(JobSchema, earlier.answer);
}
