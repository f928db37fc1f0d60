import { DstPolicy, HttpMethod, type Job, OverlapPolicy } from "../../../gen/carillon/v1/job_pb.ts";
import { problemsOfTargetHeaders } from "../../domain/delivery/target-headers.ts";
import { problemOfTargetUrl } from "../../domain/delivery/target-url.ts";
import { isRefusedAddress } from "../../platform/net/address-guard.ts";
import { scheduleOf } from "../../wire/job-schedule.ts";
import { durationNanos } from "./job-definition.ts";
import type { FieldProblem } from "./refusals.ts";

export interface RuleContext {
  jobId: string;
  createdSecond: number;
  /** The second after which the schedule must have an occurrence; left out when its timing is not new. */
  afterSecond?: number;
}

/**
 * All that is wrong with a definition beyond the bounds that its proto states.
 * `prefix` is where the job stands in the request: "job." or "requests[3].job.".
 */
export function problemsOfJob(job: Job, context: RuleContext, prefix: string): FieldProblem[] {
  return [...scheduleProblems(job, context), ...targetProblems(job), ...retryProblems(job)].map((problem) => ({
    ...problem,
    field: prefix + problem.field,
  }));
}

function scheduleProblems(job: Job, { jobId, createdSecond, afterSecond }: RuleContext): FieldProblem[] {
  const parsed = scheduleOf(job, jobId, createdSecond);
  if (!parsed.ok) {
    return [{ field: parsed.field, description: parsed.reason, reason: scheduleReasons[parsed.field] }];
  }
  if (afterSecond === undefined || parsed.schedule.nextAfter(afterSecond) !== undefined) return [];
  if (parsed.schedule.kind === "once") {
    return [{ field: "schedule", description: "lies in the past", reason: "SCHEDULE_IN_THE_PAST" }];
  }
  const field = job.endTime ? "end_time" : "schedule";
  return [{ field, description: "never fires: no occurrence is left", reason: "SCHEDULE_NEVER_FIRES" }];
}

const scheduleReasons = {
  schedule: "SCHEDULE_INVALID",
  time_zone: "TIME_ZONE_INVALID",
  start_time: "START_TIME_INVALID",
  end_time: "END_TIME_INVALID",
} as const;

function targetProblems({ apiEndpoint, http }: Job): FieldProblem[] {
  const problems: FieldProblem[] = [];
  const url = problemOfTargetUrl(apiEndpoint) ?? problemOfAddress(apiEndpoint);
  if (url !== undefined) problems.push({ field: "api_endpoint", description: url, reason: "API_ENDPOINT_INVALID" });
  for (const { name, reason } of problemsOfTargetHeaders(http?.headers ?? {})) {
    const field = name === undefined ? "http.headers" : `http.headers[${JSON.stringify(name)}]`;
    problems.push({ field, description: reason, reason: "HTTP_HEADERS_INVALID" });
  }
  const bodyless = http?.method === HttpMethod.GET || http?.method === HttpMethod.HEAD;
  if (bodyless && http.body) {
    const description = `a ${http.method === HttpMethod.GET ? "GET" : "HEAD"} request takes no body`;
    problems.push({ field: "http.body", description, reason: "HTTP_BODY_NOT_ALLOWED" });
  }
  return problems;
}

/** What a name stands for is looked at when it is called; an address that is always refused can be told now. */
function problemOfAddress(url: string): string | undefined {
  const host = new URL(url).hostname.replace(/^\[|\]$/g, "");
  return isRefusedAddress(host) ? `${host} is a link-local or metadata address, which is never called` : undefined;
}

function retryProblems({ retry }: Job): FieldProblem[] {
  if (durationNanos(retry?.maxBackoff) >= durationNanos(retry?.minBackoff)) return [];
  const description = "is shorter than retry.min_backoff";
  return [{ field: "retry.max_backoff", description, reason: "RETRY_BACKOFF_INVALID" }];
}

/** The fields that are set and would have no effect in this version. */
export function unservedFields(job: Job, prefix: string): FieldProblem[] {
  const fields: string[] = [];
  if (job.jitter) fields.push("jitter");
  if (job.overlapPolicy > OverlapPolicy.ALLOW) fields.push("overlap_policy");
  if (job.catchUp) fields.push("catch_up");
  if (job.dstPolicy > DstPolicy.ONCE) fields.push("dst_policy");
  if (job.http && job.http.successCodes.length > 0) fields.push("http.success_codes");
  return fields.map((field) => ({
    field: prefix + field,
    description: "is not implemented in this version; leave it out",
    reason: "FIELD_NOT_IMPLEMENTED",
  }));
}
