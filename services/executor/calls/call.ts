import { ExecutionTrigger } from "../../../gen/carillon/v1/execution_pb.ts";
import { HttpMethod } from "../../../gen/carillon/v1/job_pb.ts";
import type { BackoffPolicy } from "../../domain/delivery/backoff.ts";
import { manualRunOf } from "../../domain/identity/position.ts";
import { type DueEntry, readDueEntry } from "../../wire/due-entry.ts";

/**
 * A job's HTTP call, made ready once and used for each of its occurrences: only
 * what differs from execution to execution is added when it is sent.
 */
export interface Call extends BackoffPolicy {
  /** The serialised DueEntry that this was made from. */
  readonly entry: Uint8Array;
  readonly jobId: string;
  readonly generation: number;
  /** The `run` of its executions' positions: empty unless it is the call of a manual run. */
  readonly run: string;
  readonly trigger: ExecutionTrigger;
  /** Scheme, host and port; empty when the URL is none, which fails each attempt. */
  readonly origin: string;
  readonly path: string;
  readonly method: string;
  /** Names and values in turn: those of the job, then the fixed ones of Carillon. */
  readonly headers: readonly string[];
  readonly body: Buffer | null;
  readonly timeoutMs: number;
  readonly maxAttempts: number;
  /** How late an attempt may start, after the second of its occurrence. */
  readonly expireAfterMs: number;
}

const userAgent = "carillon/0.1.0";

const methods: Readonly<Record<HttpMethod, string>> = {
  [HttpMethod.UNSPECIFIED]: "POST",
  [HttpMethod.POST]: "POST",
  [HttpMethod.GET]: "GET",
  [HttpMethod.HEAD]: "HEAD",
  [HttpMethod.PUT]: "PUT",
  [HttpMethod.DELETE]: "DELETE",
  [HttpMethod.PATCH]: "PATCH",
  [HttpMethod.OPTIONS]: "OPTIONS",
};

// The registry fills in every default; these hold for an entry that lacks one.
const defaultTimeoutMs = 30_000;

/** The call of a serialised DueEntry. Throws when the bytes are none. */
export function decodeCall(entry: Uint8Array): Call {
  return compileCall(readDueEntry(entry), entry);
}

/** `entry` is the serialised self of `due`. Throws when that has the id of another job's execution. */
export function compileCall(due: DueEntry, entry: Uint8Array): Call {
  const method = methods[due.method] ?? "POST";
  const url = URL.canParse(due.url) ? new URL(due.url) : undefined;
  const body = due.body === "" ? null : Buffer.from(due.body);
  return {
    // A copy: the bytes are a view into a whole message, which must not live as long as this.
    entry: entry.slice(),
    jobId: due.jobId,
    generation: due.generation,
    run: runOfEntry(due),
    trigger: due.trigger === ExecutionTrigger.UNSPECIFIED ? ExecutionTrigger.SCHEDULE : due.trigger,
    origin: url && /^https?:$/.test(url.protocol) ? url.origin : "",
    path: url ? url.pathname + url.search : "/",
    method,
    headers: headersOf(due, method, body !== null),
    body,
    timeoutMs: due.timeoutMs || defaultTimeoutMs,
    maxAttempts: due.maxAttempts || 1,
    minBackoffMs: due.minBackoffMs,
    maxBackoffMs: due.maxBackoffMs,
    expireAfterMs: due.expireAfterS * 1000,
  };
}

function runOfEntry({ jobId, executionId }: DueEntry): string {
  const run = executionId === "" ? "" : manualRunOf(executionId, jobId);
  if (run === undefined) throw new Error(`${executionId} is no manual run of job ${jobId}`);
  return run;
}

function headersOf(due: DueEntry, method: string, hasBody: boolean): string[] {
  const given = Object.entries(due.headers);
  const has = (name: string) => given.some(([key]) => key.toLowerCase() === name);
  const headers = given.flat();
  const sendsContent = hasBody || method === "POST" || method === "PUT" || method === "PATCH";
  if (sendsContent && !has("content-type")) headers.push("Content-Type", "application/json");
  if (!has("user-agent")) headers.push("User-Agent", userAgent);
  headers.push("Carillon-Job-Id", due.jobId);
  return headers;
}
