import type { Job } from "../../../gen/carillon/v1/job_pb.ts";
import type { Clock } from "../../platform/process/clock.ts";
import { dueEntryOf, writeDueEntry } from "../../wire/due-entry.ts";
import { generationOf, type JobEvent, readJobEvent, timingOf } from "../../wire/job-event.ts";
import { type Call, compileCall } from "../calls/call.ts";
import { judge, type NewTiming, type Occurrence, type Verdict } from "./verdict.ts";

/**
 * The recent changes of jobs, so that what was changed after an occurrence was
 * published is obeyed: a paused or deleted job stops.
 */
export interface JobStates {
  /** A change of a job, in the order of the stream. */
  note(jobId: string, event: Uint8Array): void;
  /** Changes before this instant may be missing. Infinity until the changes are followed. */
  completeSinceMs(): number;
  /** From now on no change is missed. */
  markFollowed(): void;
  /** Changes may have been missed: JOBS is another stream, which is read from its beginning. What is known stays true. */
  markLost(): void;
  /** Whether there is nothing to obey at all. */
  empty(): boolean;
  knows(jobId: string): boolean;
  judge(occurrence: Occurrence): Verdict;
}

// Due batches are published 0.7 s before they fire; minutes cover a backlog and redeliveries.
const keptMs = 10 * 60_000;
const maxJobs = 100_000;
// The broker's clock and ours: a message is compared by its time of storage.
const clockMarginMs = 500;

// Of one job, those that changes brought while it was known here.
const maxTimings = 16;

interface Change {
  notedAtMs: number;
  /** By generation, ascending. */
  timings: readonly NewTiming[];
  generation: number;
  /** Decoded when it is asked for: in a bulk change most never are. */
  bytes: Uint8Array;
  event?: JobEvent;
  call?: Call;
}

export function createJobStates(clock: Clock): JobStates {
  // In the order of their last change: the oldest come first.
  const changes = new Map<string, Change>();
  let sinceMs = Number.POSITIVE_INFINITY;

  const evict = (nowMs: number) => {
    for (const [jobId, change] of changes) {
      if (changes.size <= maxJobs && change.notedAtMs > nowMs - keptMs) break;
      changes.delete(jobId);
      sinceMs = Math.max(sinceMs, change.notedAtMs + clockMarginMs);
    }
  };

  return {
    note(jobId, bytes) {
      const generation = generationOf(bytes);
      // No occurrence is older than a job's creation; a bulk load leaves nothing here.
      if (generation <= 1) return;
      const known = changes.get(jobId);
      if (known && known.generation >= generation) return;
      const nowMs = clock.nowMs();
      changes.delete(jobId);
      // A copy: the message is a view into what the socket delivered.
      const timings = timingsWith(known?.timings ?? [], timingOf(bytes));
      changes.set(jobId, { notedAtMs: nowMs, generation, timings, bytes: bytes.slice() });
      evict(nowMs);
    },
    completeSinceMs: () => sinceMs,
    markFollowed() {
      sinceMs = clock.nowMs() + clockMarginMs;
    },
    markLost() {
      sinceMs = Number.POSITIVE_INFINITY;
    },
    empty: () => changes.size === 0,
    knows: (jobId) => changes.has(jobId),
    judge(occurrence) {
      const { call } = occurrence;
      const change = changes.get(call.jobId);
      if (!change || change.generation <= call.generation) return { kind: "fire", call };
      change.event ??= readJobEvent(change.bytes);
      const next = change.timings.find(({ generation }) => generation > call.generation);
      return judge(occurrence, change.event, next, (job) => {
        change.call ??= callOf(job);
        return change.call;
      });
    },
  };
}

/** The last ones: of a timing that is left out, the one after it decides. */
function timingsWith(known: readonly NewTiming[], newest: NewTiming | undefined): readonly NewTiming[] {
  if (!newest || newest.generation === known.at(-1)?.generation) return known;
  return [...known, newest].slice(-maxTimings);
}

function callOf(job: Job): Call {
  const due = dueEntryOf(job);
  return compileCall(due, writeDueEntry(due));
}
