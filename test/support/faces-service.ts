import { create, type MessageInitShape, type MessageShape } from "@bufbuild/protobuf";
import { TimestampSchema, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { pino } from "pino";
import { Registry } from "prom-client";
import { DeadExecutionService } from "../../gen/carillon/v1/dead_execution_pb.ts";
import { type ExecutionSchema, ExecutionService, ExecutionStatus } from "../../gen/carillon/v1/execution_pb.ts";
import { type JobSchema, JobService, JobState, RetryPolicySchema } from "../../gen/carillon/v1/job_pb.ts";
import { systemClock } from "../../services/platform/process/clock.ts";
import type { Log } from "../../services/platform/process/log.ts";
import { bindService, type CallPipeline, createCallPipeline } from "../../services/platform/rpc/binding.ts";
import type { BoundService, CallContext, ServiceHandlers } from "../../services/platform/rpc/call-context.ts";
import { RpcError } from "../../services/platform/rpc/errors/rpc-error.ts";

type JobInit = MessageInitShape<typeof JobSchema>;
type ExecutionInit = MessageInitShape<typeof ExecutionSchema>;

/** The real contract over a Map: enough behaviour to compare the faces, and no more. */
export interface FakeBackend {
  readonly services: readonly BoundService[];
  readonly pipeline: CallPipeline;
  readonly metrics: Registry;
  /** The last UpdateJob request's mask, as a face made it. */
  lastMask(): string[] | undefined;
  /** The resume_token of each watch, as a face handed it on. */
  readonly resumedFrom: readonly string[];
  /** Settles when a watcher of the job is gone from the server's point of view. */
  watchEnded(jobId: string): Promise<void>;
  /** Ends once a watcher is waiting for more. */
  watchStarted(jobId: string): Promise<void>;
  /** Logged surprises. */
  readonly errors: Record<string, unknown>[];
}

// Neither form takes these: JSON no such times, binary no such integers.
const noSuchTime = create(TimestampSchema, { seconds: 10n ** 15n });
const unwritable = { createdAt: noSuchTime, retry: create(RetryPolicySchema, { maxAttempts: 1.5 }) };
const unwritableExecution = { timestamp: noSuchTime, durationMs: 1.5 };
// 2026-12-01T09:00:00.250Z
const createdAtMs = 1_796_115_600_250;

export function createFakeBackend(options: { tokens?: string[] } = {}): FakeBackend {
  const metrics = new Registry();
  const errors: Record<string, unknown>[] = [];
  const log: Log = pino({ level: "error" }, { write: (line: string) => errors.push(JSON.parse(line)) });
  const pipeline = createCallPipeline({ tokens: options.tokens ?? [] }, { metrics, log, clock: systemClock });
  const jobs = new Map<string, JobInit>();
  const watches = new Map<string, { started: PromiseWithResolvers<void>; ended: PromiseWithResolvers<void> }>();
  const resumedFrom: string[] = [];
  let mask: string[] | undefined;

  const watchOf = (jobId: string) => {
    const watch = watches.get(jobId) ?? { started: Promise.withResolvers(), ended: Promise.withResolvers() };
    watches.set(jobId, watch);
    return watch;
  };
  const find = (jobId: string) => {
    const job = jobs.get(jobId);
    if (!job) {
      throw new RpcError("NOT_FOUND", `there is no job "${jobId}"`, {
        reason: "JOB_NOT_FOUND",
        metadata: { job_id: jobId },
      });
    }
    return job;
  };
  const add = (job: MessageShape<typeof JobSchema> | undefined) => {
    if (!job) throw new Error("protovalidate lets no request without a job through");
    const stored: JobInit = {
      ...job,
      jobId: `job-${jobs.size + 1}`,
      createdAt: timestampFromMs(createdAtMs),
      state: JobState.ACTIVE,
      generation: 1,
      etag: "e1",
    };
    jobs.set(stored.jobId ?? "", stored);
    return stored;
  };

  const jobHandlers: ServiceHandlers<typeof JobService> = {
    async createJob(request) {
      if (request.job?.displayName === "explode") throw new Error("the database is on fire at db-7.internal");
      const job = add(request.job);
      return request.job?.displayName === "unwritable" ? { ...job, ...unwritable } : job;
    },
    batchCreateJobs: (request) => ({ jobs: request.requests.map(({ job }) => add(job)) }),
    getJob: (request) => find(request.jobId),
    batchGetJobs: (request) => ({ jobs: request.jobIds.map(find) }),
    listJobs: (request) => ({ jobs: [...jobs.values()].slice(0, request.pageSize || 50), nextPageToken: "" }),
    updateJob(request) {
      mask = request.updateMask?.paths;
      const stored = {
        ...find(request.job?.jobId ?? ""),
        ...(request.job?.displayName && { displayName: request.job.displayName }),
      };
      jobs.set(stored.jobId ?? "", stored);
      return stored;
    },
    batchUpdateJobs: (request) => ({ jobs: request.requests.map(({ job }) => find(job?.jobId ?? "")) }),
    batchDeleteJobs: (request) => ({ deletedCount: request.jobIds.filter((jobId) => jobs.delete(jobId)).length }),
    purgeJobs: () => ({ purgeCount: jobs.size, purgeSample: [...jobs.keys()], nextPageToken: "" }),
    async deleteJob(request) {
      const job = find(request.jobId);
      if (request.etag !== "" && request.etag !== job.etag) {
        throw new RpcError("ABORTED", "the job has changed", { reason: "ETAG_MISMATCH" });
      }
      jobs.delete(request.jobId);
      return {};
    },
    pauseJob: (request) => ({ ...find(request.jobId), state: JobState.PAUSED }),
    resumeJob: (request) => ({ ...find(request.jobId), state: JobState.ACTIVE }),
    runJob: (request) => ({ executionId: `${find(request.jobId).jobId}-mabc` }),
    backfillJob() {
      throw new RpcError("UNIMPLEMENTED", "backfill is not served yet", { reason: "NOT_IMPLEMENTED" });
    },
    previewSchedule: (request) => ({
      occurrences: Array.from({ length: request.count || 5 }, (_, i) => timestampFromMs((i + 1) * 1000)),
    }),
  };

  const executionHandlers: ServiceHandlers<typeof ExecutionService> = {
    listExecutions: (request) => ({ executions: [executionOf(find(request.jobId).jobId ?? "", 1)], nextPageToken: "" }),
    getExecution(request) {
      throw new RpcError("NOT_FOUND", `there is no execution "${request.executionId}"`, {
        reason: "EXECUTION_NOT_FOUND",
      });
    },
    async *watchExecutions(request, context) {
      const jobId = find(request.jobId).jobId ?? "";
      const watch = watchOf(jobId);
      try {
        context.open();
        resumedFrom.push(request.resumeToken);
        if (request.bookmarks) yield { resumeToken: "token-0" };
        if (find(jobId).displayName === "unwritable") yield { ...executionOf(jobId, 1), ...unwritableExecution };
        for (const second of [1, 2, 3]) yield { ...executionOf(jobId, second), resumeToken: `token-${second}` };
        // A job named so ends its stream; any other is watched until the client has had enough.
        if (find(jobId).displayName === "three") return;
        watch.started.resolve();
        await aborted(context);
      } finally {
        watch.ended.resolve();
      }
    },
    auditJob() {
      throw new RpcError("UNIMPLEMENTED", "audit is not served yet", { reason: "NOT_IMPLEMENTED" });
    },
  };

  // Tells what it was asked, as far as a face may get it wrong.
  const deadHandlers: ServiceHandlers<typeof DeadExecutionService> = {
    listDeadExecutions: ({ jobId, reason, startTime, endTime, pageSize, pageToken }) => ({
      deadExecutions: [
        {
          executionId: `${jobId}-7`,
          jobId,
          reason,
          ...(startTime && { timestamp: startTime }),
          ...(endTime && { deathTime: endTime }),
          attemptCount: pageSize,
          message: pageToken,
        },
      ],
      nextPageToken: "next",
    }),
    redriveExecutions: ({ executionIds, maxCount, jobId, pageToken }) => ({
      redrivenCount: executionIds.length,
      skippedPausedCount: maxCount,
      nextPageToken: `${jobId}${pageToken}`,
    }),
  };

  return {
    services: [
      bindService(JobService, jobHandlers, pipeline),
      bindService(ExecutionService, executionHandlers, pipeline),
      bindService(DeadExecutionService, deadHandlers, pipeline),
    ],
    pipeline,
    metrics,
    errors,
    lastMask: () => mask,
    resumedFrom,
    watchStarted: (jobId) => watchOf(jobId).started.promise,
    watchEnded: (jobId) => watchOf(jobId).ended.promise,
  };
}

function executionOf(jobId: string, second: number): ExecutionInit {
  return {
    executionId: `${jobId}-${second}`,
    jobId,
    timestamp: timestampFromMs(second * 1000 + 3),
    scheduledTime: timestampFromMs(second * 1000),
    status: ExecutionStatus.SUCCESS,
    httpStatus: 200,
    durationMs: 12,
    attemptCount: 1,
  };
}

function aborted(context: CallContext): Promise<void> {
  return new Promise((resolve) => {
    if (context.signal.aborted) resolve();
    else context.signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
