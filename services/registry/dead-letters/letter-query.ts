import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { parseExecutionId } from "../../domain/identity/execution-id.ts";
import { isJobId } from "../../domain/identity/job-id.ts";
import { invalidField } from "../../platform/rpc/errors/rpc-error.ts";
import { jobNotFound } from "../jobs/refusals.ts";
import type { Letter } from "./letter.ts";

/** Which dead letters are asked for, and where they lie. */
export interface LetterQuery {
  /** Read one after the other. */
  readonly stretches: readonly LetterStretch[];
  /** Whether letters may lie there that are not asked for. */
  readonly selective: boolean;
  matches(letter: Letter): boolean;
  /** Whether a letter that died at this instant, and all behind it, are too late. */
  isOver(diedAtMs: number): boolean;
}

/** Letters of one job, or of all, in the order in which they were stored. */
export interface LetterStretch {
  /** Undefined: of all. */
  readonly jobId: string | undefined;
  /** None that is asked for was stored before. 0: from the first on. */
  readonly fromMs: number;
  /** When these are found no more is looked for; undefined: all are. */
  readonly executionIds: ReadonlySet<string> | undefined;
}

/** What the requests of both RPCs have in common. */
export interface LetterFilters {
  jobId: string;
  reason: string;
  startTime?: Timestamp | undefined;
  endTime?: Timestamp | undefined;
  executionIds?: readonly string[] | undefined;
}

/** Throws the refusal when the filters do not go together. */
export function letterQueryOf(filters: LetterFilters): LetterQuery {
  const { jobId, reason, executionIds = [] } = filters;
  if (jobId !== "" && !isJobId(jobId)) throw jobNotFound(jobId);
  const startMs = instantOf(filters.startTime) ?? 0;
  const endMs = instantOf(filters.endTime) ?? Number.POSITIVE_INFINITY;
  if (endMs <= startMs) throw invalidField("end_time", "must be after start_time");
  if (executionIds.length > 0) return queryOfExecutions(filters, executionIds);
  return {
    stretches: [{ jobId: jobId || undefined, fromMs: startMs, executionIds: undefined }],
    selective: reason !== "",
    matches: ({ result, diedAtMs }) => (reason === "" || result.reason === reason) && diedAtMs >= startMs,
    isOver: (diedAtMs) => diedAtMs >= endMs,
  };
}

function queryOfExecutions(filters: LetterFilters, executionIds: readonly string[]): LetterQuery {
  for (const [name, value] of [
    ["reason", filters.reason],
    ["start_time", filters.startTime],
    ["end_time", filters.endTime],
  ]) {
    if (value) throw invalidField(String(name), "does not stand beside execution_ids");
  }
  /** By job. */
  const wanted = new Map<string, { ids: Set<string>; fromMs: number }>();
  for (const [index, id] of executionIds.entries()) {
    const parts = parseExecutionId(id);
    const field = `execution_ids[${index}]`;
    if (!parts) throw invalidField(field, "is no execution id");
    if (filters.jobId !== "" && parts.jobId !== filters.jobId) throw invalidField(field, "is none of job_id");
    const ofJob = wanted.get(parts.jobId) ?? { ids: new Set<string>(), fromMs: Number.POSITIVE_INFINITY };
    // Nothing dies before its second; that of a manual run is not known.
    const fromMs = parts.kind === "occurrence" ? Math.max(0, parts.second * 1000 - clockMarginMs) : 0;
    wanted.set(parts.jobId, { ids: ofJob.ids.add(id), fromMs: Math.min(ofJob.fromMs, fromMs) });
  }
  const all = new Set(executionIds);
  const stretches = [...wanted].map(([jobId, { ids, fromMs }]) => ({ jobId, fromMs, executionIds: ids }));
  return { stretches, selective: true, matches: ({ executionId }) => all.has(executionId), isOver: () => false };
}

// The second is by our clocks, when a letter was stored by the broker's.
const clockMarginMs = 60_000;

/** Rounded up: a letter's instant has whole milliseconds. */
function instantOf(timestamp: Timestamp | undefined): number | undefined {
  return timestamp && Number(timestamp.seconds) * 1000 + Math.ceil(timestamp.nanos / 1_000_000);
}
