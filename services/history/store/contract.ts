import type { ExecutionIdParts } from "../../domain/identity/execution-id.ts";
import type { Position } from "../../domain/identity/position.ts";
import type { Startable } from "../../platform/process/lifecycle.ts";
import type { AttemptResult } from "../../wire/attempt-result.ts";
import type { ExecutionRecord } from "../records/execution-record.ts";

/**
 * A place in the order in which executions ended: that of their commits, and within one of `ended` and then `revised`. It
 * lies behind so many of a commit.
 */
export interface EndingPlace {
  commit: number;
  /** What tells that commit from another of its number, in a store that was set back or lost. */
  mark: number;
  count: number;
}

/** What ended behind a place. */
export interface EndedSince {
  /** As they stand now, in the order in which they ended, each with the place behind it. */
  endings: { record: ExecutionRecord; place: EndingPlace }[];
  /** So many more ended and are forgotten. */
  forgotten: number;
  /** Where the next question goes on. */
  place: EndingPlace;
  /** Whether there was nothing more at this moment. */
  done: boolean;
}

/** What a call of `record` changed. */
export interface RecordChanges {
  /** Results that were news: attempts and skips not known before. */
  news: number;
  /**
   * The executions that ended with this call, in the order of their results, as they stand after it. Each execution
   * comes here once, whatever is recorded of it later.
   */
  ended: ExecutionRecord[];
  /** The executions that had ended before this call and end otherwise since: a call was made of one that was skipped. */
  revised: Revision[];
  /** The place behind all of these; undefined when there are none. */
  place: EndingPlace | undefined;
}

export interface Revision {
  /** As it stands after the call. */
  record: ExecutionRecord;
  /** As it stood before. */
  was: ExecutionRecord;
}

/** What a call of `forget` did. */
export interface Forgotten {
  /** Executions that are not there any more since the call before. */
  count: number;
  /** Whether the same question would find nothing more to do. */
  done: boolean;
}

/** What is known of a job last: that it was deleted, or that it stands. */
export interface JobState {
  jobId: string;
  deleted: boolean;
  /** Since when, unix time. */
  second: number;
}

/** How far the states of jobs have been read: up to a sequence of one certain stream. */
export interface JobsPlace {
  /** What tells that stream from one that replaces it. */
  stream: string;
  sequence: number;
}

/** How much there is. */
export interface StoreExtent {
  /** What the store takes of its disk. */
  bytes: number;
  /** So much of that is in use; the rest is filled next, or goes back to the disk by and by. */
  usedBytes: number;
  /** Executions. */
  rowCount: number;
  /** The second of the oldest execution. */
  oldestSecond: number | undefined;
}

/**
 * The records of executions. A new engine stands behind it when test/contract/history-store.suite.ts passes over it.
 *
 * - What is given is sound: job ids are UUIDs of version 7 in lower case, and no text has a NUL in it (the reader of
 *   results sees to both). Each result of a manual run comes with the same second, which travels with the run: job and
 *   run are enough to find it.
 * - Calls may overlap. Each has its effect in one instant between its call and its answer, and what `record` or
 *   `forget` has answered is on disk and seen by every read that begins after that.
 * - Each rejects before `start` has resolved and after `stop` was called. Otherwise it rejects only with what the
 *   engine could not do (a full disk, a lost connection): that is a surprise, and no code is to be read from it.
 * - `start` rejects while another store, of this or another process, has the same place open. `stop` waits for the
 *   calls that are under way.
 */
export interface HistoryStore extends Startable {
  /**
   * Makes records of results, by the rules in records/execution-record.ts, in the order given. All of them in
   * one transaction, so that nobody ever sees a part of a call.
   * Idempotent: what is known already changes nothing, so that results may be recorded again in whatever batches.
   * When it rejects either nothing is recorded or, where only the answer to the commit was lost, all: recording the
   * same again is right in both cases, but what ended then is not told a second time.
   */
  record(results: readonly AttemptResult[]): Promise<RecordChanges>;

  /**
   * The executions of a job that have ended, newest second first, and within a second by descending run; at most
   * `limit`, and only those after `before` in this order when it is given. The last one's position begins the next
   * page: what is recorded meanwhile neither moves it nor comes twice. One state of the store, whatever is recorded
   * at the same time.
   */
  list(jobId: string, limit: number, before?: Position): Promise<ExecutionRecord[]>;

  /**
   * The executions of a job that have not ended, as far as records tell: they wait for a retry, or for their first
   * attempt. In the order of `list`, and paged as there.
   */
  listWaiting(jobId: string, limit: number, before?: Position): Promise<ExecutionRecord[]>;

  /**
   * What has ended of a job behind a place, the oldest first; at most `limit`, and no more than a short look at once:
   * it is asked again, behind the place that it gives, until it is done. One that ended twice (`revised`) comes twice.
   * Undefined when the store cannot tell: the place is too far back, or was never one of this store. It can for
   * the last ten thousand endings of all jobs at least, also over restarts.
   */
  endedSince(jobId: string, place: EndingPlace, limit: number): Promise<EndedSince | undefined>;

  /** Behind all that has ended so far. */
  lastEnding(): Promise<EndingPlace>;

  /** The record of an execution, also of one that waits, with all its attempts. */
  find(execution: ExecutionIdParts): Promise<ExecutionRecord | undefined>;

  /**
   * For each of many executions, in their order, whether it is recorded so that it needs no call: by mayBeCalled
   * (records/execution-record.ts) on its record. One state of the store for all.
   */
  findRecorded(executions: readonly ExecutionIdParts[]): Promise<boolean[]>;

  /**
   * Forgets executions that are older than a second, manual runs included, the oldest first. It never
   * forgets one of that second or later, one that waits for an attempt, or one of the last 5 of its job that have ended,
   * unless the job is deleted. A call is one short transaction: it is called again until it is done, and even then some
   * that were among the last 5 lately may go another day. A result that comes for a forgotten execution begins a new
   * record.
   *
   * With the last execution of a deleted job all that is known of the job goes, its deletion too, once that is older than
   * the second as well: until then results may still come. It may take until a call with a second that is hours later.
   */
  forget(before: number): Promise<Forgotten>;

  /**
   * Remembers which jobs are deleted, also those of which there is no execution yet; one that stands after all is not
   * deleted any more. In the order given, all of them and the place in one transaction. Of what was answered the last
   * calls may be missing after a power cut, together with their places.
   */
  noteJobs(jobs: readonly JobState[], place: JobsPlace): Promise<void>;

  /** The place of the last call of `noteJobs`; undefined when there was none. */
  jobsPlace(): Promise<JobsPlace | undefined>;

  extent(): Promise<StoreExtent>;

  /** Why nothing could be written the last time, in words for operators, when that was the disk; until it can be again. */
  trouble(): string | undefined;
}
