import { JobType } from "../../gen/carillon/v1/job_pb.ts";
import type { Caller } from "./faces-callers.ts";

/** The least that a job must say. */
export const job = { schedule: "* * * * * *", apiEndpoint: "http://127.0.0.1/", type: JobType.ATLEAST_ONCE };

/** One call that is refused, and how. */
export interface Refusal {
  name: string;
  call(caller: Caller): Promise<unknown>;
  code: string;
  reason: string;
  /** Paths from the request; REST tells them from the body. */
  violations?: { field: string; description: string }[];
  restViolations?: { field: string; description: string }[];
}

export const refusals: Refusal[] = [
  {
    name: "a missing field",
    call: ({ jobs }) => jobs.createJob({ job: { ...job, schedule: "" } }),
    code: "INVALID_ARGUMENT",
    reason: "INVALID_FIELD",
    violations: [{ field: "job.schedule", description: "value is required" }],
    restViolations: [{ field: "schedule", description: "value is required" }],
  },
  {
    name: "two bad fields",
    call: ({ jobs }) => jobs.createJob({ job: { ...job, displayName: "x".repeat(201), retry: { maxAttempts: 0 } } }),
    code: "INVALID_ARGUMENT",
    reason: "INVALID_FIELD",
    violations: [
      { field: "job.display_name", description: "must be at most 200 characters" },
      {
        field: "job.retry.max_attempts",
        description: "must be greater than or equal to 1 and less than or equal to 20",
      },
    ],
    restViolations: [
      { field: "display_name", description: "must be at most 200 characters" },
      { field: "retry.max_attempts", description: "must be greater than or equal to 1 and less than or equal to 20" },
    ],
  },
  {
    name: "a body that is too large for a job",
    call: ({ jobs }) => jobs.createJob({ job: { ...job, http: { body: "ü".repeat(65_537) } } }),
    code: "INVALID_ARGUMENT",
    reason: "INVALID_FIELD",
    violations: [{ field: "job.http.body", description: "must be at most 131072 bytes" }],
    restViolations: [{ field: "http.body", description: "must be at most 131072 bytes" }],
  },
  {
    name: "a bad item of a batch",
    call: ({ jobs }) => jobs.batchCreateJobs({ requests: [{ job }, { job: { ...job, apiEndpoint: "" } }] }),
    code: "INVALID_ARGUMENT",
    reason: "INVALID_FIELD",
    violations: [{ field: "requests[1].job.api_endpoint", description: "value is required" }],
  },
  {
    name: "a number out of bounds",
    call: ({ jobs }) => jobs.listJobs({ pageSize: -1 }),
    code: "INVALID_ARGUMENT",
    reason: "INVALID_FIELD",
    violations: [{ field: "page_size", description: "must be greater than or equal to 0" }],
  },
  {
    name: "a word that is none of those",
    call: ({ dead }) => dead.listDeadExecutions({ reason: "TIMOUT" }),
    code: "INVALID_ARGUMENT",
    reason: "INVALID_FIELD",
    violations: [
      {
        field: "reason",
        description:
          "must be in list [HTTP_STATUS, TIMEOUT, CONNECTION_REFUSED, CONNECTION_RESET, DNS_ERROR, TLS_ERROR, NETWORK_ERROR, JOB_PAUSED, JOB_DELETED, EXPIRED, BACKLOG_FULL]",
      },
    ],
  },
  {
    name: "the same thing twice in a list",
    call: ({ dead }) => dead.redriveExecutions({ executionIds: ["a", "a"] }),
    code: "INVALID_ARGUMENT",
    reason: "INVALID_FIELD",
    violations: [{ field: "execution_ids", description: "repeated value must contain unique items" }],
  },
  {
    name: "an unknown job",
    call: ({ jobs }) => jobs.getJob({ jobId: "nöpe 100%" }),
    code: "NOT_FOUND",
    reason: "JOB_NOT_FOUND",
  },
  {
    name: "an unknown execution",
    call: ({ executions }) => executions.getExecution({ executionId: "nope" }),
    code: "NOT_FOUND",
    reason: "EXECUTION_NOT_FOUND",
  },
  {
    name: "a stream of an unknown job",
    call: async ({ executions }) => {
      for await (const _ of executions.watchExecutions({ jobId: "nope" })) throw new Error("there is no such job");
    },
    code: "NOT_FOUND",
    reason: "JOB_NOT_FOUND",
  },
  {
    name: "an outdated etag",
    call: async ({ jobs }) => {
      const { jobId } = await jobs.createJob({ job });
      await jobs.deleteJob({ jobId, etag: "old" });
    },
    code: "ABORTED",
    reason: "ETAG_MISMATCH",
  },
  {
    name: "what is not served yet",
    call: ({ jobs }) => jobs.backfillJob({ jobId: "x" }),
    code: "UNIMPLEMENTED",
    reason: "NOT_IMPLEMENTED",
  },
  {
    name: "a surprise",
    call: ({ jobs }) => jobs.createJob({ job: { ...job, displayName: "explode" } }),
    code: "INTERNAL",
    reason: "INTERNAL",
  },
  {
    name: "an answer that cannot be written",
    call: ({ jobs }) => jobs.createJob({ job: { ...job, displayName: "unwritable" } }),
    code: "INTERNAL",
    reason: "INTERNAL",
  },
  {
    name: "a message of a stream that cannot be written",
    call: async ({ jobs, executions }) => {
      await jobs.createJob({ job: { ...job, displayName: "unwritable" } }).catch(() => undefined);
      const { jobs: all } = await jobs.listJobs({ pageSize: 1000 });
      const jobId = all.find(({ displayName }) => displayName === "unwritable")?.jobId ?? "";
      for await (const _ of executions.watchExecutions({ jobId })) throw new Error("it cannot be written");
    },
    code: "INTERNAL",
    reason: "INTERNAL",
  },
];
