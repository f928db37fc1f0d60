import type { Job } from "../../../gen/carillon/v1/job_pb.ts";
import type { Clock } from "../../platform/process/clock.ts";
import type { Log } from "../../platform/process/log.ts";
import { dueEntryOf, writeDueEntry } from "../../wire/due-entry.ts";
import { type EventTiming, generationOf, type JobEvent, readJobEvent, timingsOf } from "../../wire/job-event.ts";
import { type Call, compileCall } from "../calls/call.ts";
import { judge, type Occurrence, type Verdict } from "./verdict.ts";

/**
 * The recent changes of jobs, so that what was changed after an occurrence was
 * published is obeyed: a paused or deleted job stops.
 */
export interface JobStates {
  /** A change of a job, in the order of the stream. */
  note(jobId: string, event: Uint8Array): void;
  /** The last state of a job, which was asked for. */
  noteRead(jobId: string, event: Uint8Array): void;
  /** Changes before this instant may be missing. Infinity until the changes are followed. */
  completeSinceMs(): number;
  /** The same for what was judged already: what was asked for and is forgotten since has decided about it by then. */
  followedSinceMs(): number;
  /** From now on no change is missed. */
  markFollowed(): void;
  /** Changes may have been missed: JOBS is another stream, which is read from its beginning. What is known stays true. */
  markLost(): void;
  /** Whether there is nothing to obey at all. */
  empty(): boolean;
  /** Whether a change is known that came after what a call was made of, and after the generation by which it was judged last. */
  hasNewer(call: Pick<Call, "jobId" | "generation">, judged: number): boolean;
  /** The generation of the newest change of a job that is known; 0 when there is none. */
  newest(jobId: string): number;
  judge(occurrence: Occurrence): Verdict;
}

// Due batches are published 0.7 s before they fire; minutes cover a backlog and redeliveries.
const keptMs = 10 * 60_000;
const maxJobs = 100_000;
// An event may have 128 KiB of body: a hundred thousand of those would take more memory than there is. What waits here in
// lanes takes less, so that looking at its jobs again forgets none of them.
const defaultMostBytes = 256 * 1024 * 1024;
// For longer than what is here may be held until its second and wait for its target: nobody asks about it again.
const leastKeptMs = 5_000;
// The broker's clock and ours: a message is compared by its time of storage.
const clockMarginMs = 500;

// Of one job. An event names as many of those before it as may still be owed.
const maxTimings = 64;

interface Change {
  notedAtMs: number;
  /** Whether it was heard of as it came; otherwise it was asked for. */
  followed: boolean;
  /** By generation, ascending. */
  timings: readonly EventTiming[];
  generation: number;
  /** Decoded when it is asked for: in a bulk change most never are. */
  bytes: Uint8Array;
  event?: JobEvent;
  call?: Call;
}

/** `mostBytes`: of the changes that it keeps, beside those of the last seconds. */
export function createJobStates({ clock, log }: { clock: Clock; log: Log }, mostBytes = defaultMostBytes): JobStates {
  // In the order of their last change: the oldest come first.
  const changes = new Map<string, Change>();
  let bytesKept = 0;
  let sinceMs = Number.POSITIVE_INFINITY;
  let followedMs = Number.POSITIVE_INFINITY;

  const remove = (jobId: string) => {
    bytesKept -= changes.get(jobId)?.bytes.length ?? 0;
    changes.delete(jobId);
  };
  const isToGo = (agedMs: number) =>
    agedMs >= keptMs || changes.size > maxJobs || (bytesKept > mostBytes && agedMs >= leastKeptMs);
  const evict = (nowMs: number) => {
    for (const [jobId, { notedAtMs, followed }] of changes) {
      if (!isToGo(nowMs - notedAtMs)) break;
      remove(jobId);
      sinceMs = Math.max(sinceMs, notedAtMs + clockMarginMs);
      if (followed) followedMs = Math.max(followedMs, notedAtMs + clockMarginMs);
    }
  };

  /** One event that cannot be read must stop nothing: neither those behind it nor the calls of other jobs. */
  const readable = <T>(jobId: string, read: () => T): T | undefined => {
    try {
      return read();
    } catch (error) {
      log.error({ event: "job_event_invalid", jobId, err: error });
      return undefined;
    }
  };

  const keep = (jobId: string, bytes: Uint8Array, followed: boolean) => {
    const generation = readable(jobId, () => generationOf(bytes));
    // No occurrence is older than a job's creation; a bulk load leaves nothing here.
    if (generation === undefined || generation <= 1) return;
    const noted = readable(jobId, () => timingsOf(bytes));
    // What was published of a job that is never due again is called as it was.
    if (!noted || noted.ended) return;
    const known = changes.get(jobId);
    if (known && known.generation >= generation) {
      known.followed ||= followed;
      return;
    }
    const nowMs = clock.nowMs();
    remove(jobId);
    // A copy: the message is a view into what the socket delivered.
    const timings = timingsWith(known?.timings ?? [], noted.timings);
    const change = { notedAtMs: nowMs, followed: followed || known?.followed === true, generation, timings };
    changes.set(jobId, { ...change, bytes: bytes.slice() });
    bytesKept += bytes.length;
    evict(nowMs);
  };

  return {
    note: (jobId, bytes) => keep(jobId, bytes, true),
    noteRead: (jobId, bytes) => keep(jobId, bytes, false),
    completeSinceMs: () => sinceMs,
    followedSinceMs: () => followedMs,
    markFollowed() {
      sinceMs = clock.nowMs() + clockMarginMs;
      followedMs = sinceMs;
    },
    markLost() {
      sinceMs = Number.POSITIVE_INFINITY;
      followedMs = sinceMs;
    },
    empty: () => changes.size === 0,
    hasNewer: ({ jobId, generation }, judged) => (changes.get(jobId)?.generation ?? 0) > Math.max(generation, judged),
    newest: (jobId) => changes.get(jobId)?.generation ?? 0,
    judge(occurrence) {
      const { call } = occurrence;
      const change = changes.get(call.jobId);
      if (!change || change.generation <= call.generation) return { kind: "fire", call };
      const event = change.event ?? readable(call.jobId, () => eventOf(call.jobId, change.bytes));
      if (!event) {
        // Nobody knows what changed: what was published stays owed.
        remove(call.jobId);
        return { kind: "fire", call };
      }
      change.event = event;
      const next = change.timings.find(({ generation }) => generation > call.generation);
      return judge(occurrence, event, next, (job) => {
        change.call ??= callOf(job);
        return change.call;
      });
    },
  };
}

/** The last ones, by generation: of a timing that is left out, the one after it decides. */
function timingsWith(known: readonly EventTiming[], news: readonly EventTiming[]): readonly EventTiming[] {
  const all = new Map(known.concat(news).map((timing) => [timing.generation, timing]));
  return [...all.values()].sort((a, b) => a.generation - b.generation).slice(-maxTimings);
}

/** Throws when the bytes are no event of this job. */
function eventOf(jobId: string, bytes: Uint8Array): JobEvent {
  const event = readJobEvent(bytes);
  if (event.jobId !== jobId) throw new Error(`an event of ${event.jobId} on the subject of ${jobId}`);
  return event;
}

function callOf(job: Job): Call {
  const due = dueEntryOf(job);
  return compileCall(due, writeDueEntry(due));
}
