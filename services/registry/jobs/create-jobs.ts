import { createHash } from "node:crypto";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { type CreateJobRequest, type Job, JobSchema } from "../../../gen/carillon/v1/job_pb.ts";
import { type Clock, secondOf } from "../../platform/process/clock.ts";
import { invalidField, type RpcError } from "../../platform/rpc/errors/rpc-error.ts";
import type { JobRow } from "../store/job-rows.ts";
import { type Lane, lanes } from "../store/outbox-rows.ts";
import type { Store } from "../store/store.ts";
import { defineJob } from "./job-definition.ts";
import { encodeRecord, type JobRecord, newRecord, viewOf } from "./job-record.ts";
import { problemsOfJob, unservedFields } from "./job-rules.ts";
import {
  accept,
  type Decision,
  type FieldProblem,
  fieldsNotImplemented,
  invalidJob,
  refuse,
  requestIdReused,
  unwrap,
} from "./refusals.ts";
import { requestMemoryMs } from "./request-memory.ts";

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

export function createJobCreation(deps: { store: Store; clock: Clock; nextJobId: () => string }): CreateJobs {
  const { store, clock, nextJobId } = deps;

  /** What this request id was answered before; undefined when it is new. */
  const recall = ({ requestId, fingerprint, prefix }: Draft): Decision<Job> | undefined => {
    if (!fingerprint) return undefined;
    const earlier = store.requests.get("create", requestId, clock.nowMs() - requestMemoryMs);
    if (!earlier) return undefined;
    if (Buffer.compare(earlier.fingerprint, fingerprint) !== 0) return refuse(requestIdReused(`${prefix}request_id`));
    return accept(fromBinary(JobSchema, earlier.answer));
  };

  const write = (record: JobRecord, row: JobRow, draft: Draft, lane: Lane): Job => {
    const answer = viewOf(record, record.effectiveFromMs);
    store.jobs.insert(row);
    store.outbox.addJob(lane, record.jobId);
    if (draft.fingerprint) {
      const row = { fingerprint: draft.fingerprint, answer: toBinary(JobSchema, answer) };
      store.requests.put("create", draft.requestId, row, record.effectiveFromMs);
    }
    return answer;
  };

  const createAll = async (drafts: readonly Draft[], lane: Lane): Promise<Job[]> => {
    // A repeated call is answered also when its contents would not be accepted
    // any more: an @at that has passed since.
    if (drafts.every((draft) => draft.fingerprint)) {
      const known = drafts.map(recall);
      if (known.every((decision) => decision !== undefined)) return known.map(unwrap);
    }
    const records = drafts.map(({ definition }) => newRecord(nextJobId(), definition, clock.nowMs()));
    const refusal = refusalOf(records, drafts);
    if (refusal) throw refusal;
    const rows = records.map(encodeRecord);
    const bytes = rows.reduce((sum, { job }) => sum + job.length, 0);
    if (drafts.length > 1 && bytes > answerBytes) throw tooMuchAtOnce(bytes);
    const decision = await store.commit(() => {
      const plan = planOf(drafts, recall);
      if (!plan.ok) return plan;
      const answers: Job[] = [];
      for (const [index, draft] of drafts.entries()) {
        const step = plan.value[index];
        const [record, row] = [records[index], rows[index]];
        if (step === "new" && record && row) answers.push(write(record, row, draft, lane));
        else if (step instanceof Object) answers.push("sameAs" in step ? (answers[step.sameAs] as Job) : step.job);
      }
      return accept(answers);
    }, drafts.length * rowsPerJob);
    return unwrap(decision);
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

const rowsPerJob = 2;

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

type Step = "new" | { sameAs: number } | { job: Job };

/** What becomes of each draft, decided before the first is written: all or none. */
function planOf(drafts: readonly Draft[], recall: (draft: Draft) => Decision<Job> | undefined): Decision<Step[]> {
  const firstUse = new Map<string, { index: number; fingerprint: Uint8Array }>();
  const steps: Step[] = [];
  for (const [index, draft] of drafts.entries()) {
    const { requestId, fingerprint, prefix } = draft;
    const known = recall(draft);
    if (known && !known.ok) return known;
    const earlier = firstUse.get(requestId);
    if (known) steps.push({ job: known.value });
    else if (!fingerprint) steps.push("new");
    else if (!earlier) {
      firstUse.set(requestId, { index, fingerprint });
      steps.push("new");
    } else if (Buffer.compare(earlier.fingerprint, fingerprint) === 0) steps.push({ sameAs: earlier.index });
    else return refuse(requestIdReused(`${prefix}request_id`));
  }
  return accept(steps);
}
