import type { Startable } from "../../platform/process/lifecycle.ts";
import type { EndingPlace, JobRow } from "./job-row.ts";
import type { ChangedJobs, DecideJobs, JobName, KeyTaken, Label, LabelledIds } from "./named-jobs.ts";
import type { RebuildProgress, StreamMark } from "./stream-mark.ts";

export { type EarlierTimingRow, type EndingPlace, type JobRow, type StoredState, storedState } from "./job-row.ts";

/**
 * What the registry remembers: the jobs, what must still be told to the streams
 * (the outbox), what calls with a request id were answered, and which JOBS
 * stream is being kept (the mark). A new engine stands behind it when
 * test/contract/registry-store.suite.ts passes over it.
 *
 * Usable between start and stop; a stop lets the calls before it finish. `start`
 * rejects while another store, of this or another process, has the same place
 * open; a process that dies has nothing open any more.
 *
 * A job id is a UUID of version 7 in lower case (services/domain/identity), and
 * rows have no other. Where a client's own text may be looked up (findJob,
 * findStates, changeJob, changeJobs, addRun) any other text names no job, whatever
 * an engine could make of it. A request id is any text.
 *
 * The key and the labels of a job are those of its definition. No two jobs that
 * stand have the same key; a deleted one has none, and no labels.
 *
 * What holds for each method:
 *
 * - It is one transaction: all of it is there, or nothing. What it resolved
 *   with survives a crash.
 * - Calls that touch the same job, request id or the mark come one after the
 *   other, and each sees what those before it left. A read sees every call that
 *   had resolved before it was made.
 * - Refusals and missing jobs are values. A rejection is a surprise (a lost
 *   connection): the call is then written in full or not at all, and nobody
 *   knows which. Calls of the same moment may be rejected with it.
 * - With no room left a call rejects with a StoreFull, and has written nothing.
 *   The same call goes through once there is room.
 *   Before start and after stop each call is rejected, and writes nothing.
 * - A function that is handed in decides over one row. It does no I/O and
 *   changes nothing, since it may be called more than once (the last time
 *   counts) or never. What it throws rejects this call alone, which has written
 *   nothing then.
 */
export interface RegistryStore extends Startable {
  /**
   * Inserts all of these jobs with an outbox entry each, or none. The answers
   * of those with a request id are remembered along with them.
   *
   * A request id that is remembered since `sinceMs` creates nothing: it is
   * answered as before if its contents are the same. One that stands in the
   * batch twice creates one job. Contents that differ refuse the whole batch, and
   * so does then a key that another job has, or another creation of the batch.
   */
  createJobs(creations: readonly NewRow[], how: CreateHow): Promise<CreatedJobs>;

  /** What creates under these request ids were answered since an instant, in the order asked; undefined where nothing. */
  findAnswers(requestIds: readonly string[], sinceMs: number): Promise<(RememberedAnswer | undefined)[]>;

  /** Removes up to `limit` remembered answers from before an instant; resolves with how many those were. */
  expireRequests(beforeMs: number, limit: number): Promise<number>;

  /**
   * Changes one job: replaces its row by what `decide` makes of it, and adds an
   * outbox entry in the lane of changes. Without a next row nothing is written.
   * Of calls that come together each decides on what the one before it left.
   * Resolves with the answer that goes with it; with undefined when there is no
   * such job, or it is deleted.
   *
   * The next row has a higher generation, and the same key. A deletion is a row in state
   * `deleted`: only findStates finds it still, until its tombstone's receipt is written.
   */
  changeJob<T>(jobId: string, decide: (row: JobRow) => RowChange<T>): Promise<T | undefined>;

  /**
   * Changes several jobs that are named, and creates those that are missing, all
   * or none: replaces each row by what `decide` makes of it, with an outbox entry
   * in the lane of changes, or for a created job in that of `how`. Each job is
   * named once. Keys may be passed on within a call; one that another job has
   * when all is said refuses the whole call.
   */
  changeJobs<T>(names: readonly JobName[], decide: DecideJobs<T>, how: ChangeHow): Promise<ChangedJobs<T>>;

  /**
   * Adds a manual run of a job to the outbox, in the lane of changes: `makeRun`
   * gets the job's row. A request id, if it comes with one, is looked up before
   * the job: a known call is answered also when the job is gone.
   */
  addRun(
    jobId: string,
    makeRun: (row: JobRow) => ManualRun,
    request?: { call: RememberedCall; sinceMs: number },
  ): Promise<AddedRun>;

  /** Undefined when there is none, or it is deleted. */
  findJob(name: JobName): Promise<JobRow | undefined>;

  /** The ids of the jobs with these keys, in the order asked; undefined where there is none. */
  findKeys(keys: readonly string[]): Promise<(string | undefined)[]>;

  /**
   * The rows of these jobs, in the order asked, deleted ones too until the
   * receipt of their tombstone is written; undefined for those that are gone.
   * Each row is at least as new as any outbox entry that was taken before.
   */
  findStates(jobIds: readonly string[]): Promise<(JobRow | undefined)[]>;

  /**
   * Jobs after an id, or from the first on after "", in order of id, deleted ones
   * left out: up to `limit`, and fewer once their definitions take `maxBytes`
   * together; at least one, if one is left. Going on after the last id of a page
   * neither repeats a job nor skips one that stood all the while. With labels, only
   * jobs that have all of them: then a page may be short, or empty, and go on.
   */
  listJobs(page: { afterId: string; limit: number; maxBytes: number; labels?: readonly Label[] }): Promise<JobPage>;

  /** The ids that listJobs would find by labels, without their jobs. */
  listLabelled(page: { labels: readonly Label[]; afterId: string; limit: number }): Promise<LabelledIds>;

  /**
   * Active jobs whose last second lies before a second and that are not ended, in order of that second
   * and of their id, after a place in that order: up to `limit`.
   */
  listEnding(page: { beforeSecond: number; after: EndingPlace | undefined; limit: number }): Promise<JobRow[]>;

  /**
   * Ends these jobs, and adds an outbox entry for each in the lane of batches. One that is not active, is
   * ended already or has another timing by now is left alone. Resolves with how many it has ended.
   */
  endJobs(jobs: readonly { jobId: string; timingGeneration: number }[]): Promise<number>;

  /** How many jobs and outbox entries there are. */
  counts(): Promise<StoreCounts>;

  /**
   * The next entries of these lanes, up to `limit`: those of lower lanes first,
   * within a lane in the order in which they were added (either order, of
   * transactions that ran side by side). Each entry is handed out once; after
   * the next start, once more if it has no receipt. A call that is rejected has
   * handed out nothing. One call at a time.
   */
  takeOutbox(lanes: readonly Lane[], limit: number): Promise<OutboxEntry[]>;

  /**
   * Calls back after entries were added to the outbox; the returned function
   * ends that. It is a hint: it may come for nothing and be lost with a connection.
   */
  onOutbox(callback: () => void): () => void;

  /**
   * Removes the outbox entries of these receipts and the jobs whose tombstone is
   * out, notes the sequence under which each timing went out first, and raises
   * the mark's sequence. Writing one again changes nothing. A sequence that is
   * noted already, or whose timing has changed since, is left alone.
   *
   * A state that went out under another edition than the mark's went to a stream
   * that is gone: its receipt changes nothing and its entries stay. The call
   * resolves with the mark's edition; the caller publishes those states again.
   *
   * `progress` moves the rebuild on, if it is that of the mark's edition.
   */
  writeReceipts(receipts: readonly Receipt[], progress?: RebuildProgress): Promise<number>;

  /** Edition 0 and an empty instant before the first rebuild. */
  readMark(): Promise<StreamMark>;

  /**
   * Begins a rebuild of JOBS, which is another stream. The mark takes the next
   * edition and names no job as rebuilt. Resolves with it.
   */
  beginRebuild(stream: { created: string; sequence: number }): Promise<StreamMark>;
}

/** The store has no room for what it was to write. `what` is full, in words. */
export class StoreFull extends Error {
  readonly what: string;
  constructor(what: string, cause?: unknown) {
    super(`${what} is full`, { cause });
    this.name = "StoreFull";
    this.what = what;
  }
}

/** A call that may come again under its request id (AIP-155). */
export interface RememberedCall extends RememberedAnswer {
  requestId: string;
  /** When it came: it is remembered from here on. */
  calledMs: number;
}

export interface RememberedAnswer {
  /** Of the call's contents: a repeat has the same. */
  fingerprint: Uint8Array;
  answer: Uint8Array;
}

/** Whether a call has the contents of the one that was answered under its request id. */
export function sameContents(
  a: Pick<RememberedAnswer, "fingerprint">,
  b: Pick<RememberedAnswer, "fingerprint">,
): boolean {
  return Buffer.compare(a.fingerprint, b.fingerprint) === 0;
}

/** A job to create, and the call that it came with. */
export interface NewRow {
  row: JobRow;
  request?: RememberedCall | undefined;
}

export type CreatedJobs =
  /** `earlier`: by their place in the batch, the answers of those that a call before had created. */
  | { kind: "created"; earlier: ReadonlyMap<number, Uint8Array> }
  /** The request id at this place was used with other contents; the first such place. */
  | { kind: "reused"; index: number }
  | KeyTaken;

export interface CreateHow {
  lane: CreateLane;
  sinceMs: number;
  /** Decides all the same, and writes nothing. */
  validateOnly?: boolean;
}

export type ChangeHow = Omit<CreateHow, "sinceMs">;

/** No `next`: nothing changes, whatever the answer says. */
export interface RowChange<T> {
  next?: JobRow;
  answer: T;
}

/** A due message, ready to publish, and its id. */
export interface ManualRun {
  executionId: string;
  payload: Uint8Array;
}

export type AddedRun =
  | { kind: "added" }
  | { kind: "earlier"; answer: Uint8Array }
  | { kind: "reused" }
  | { kind: "no job" };

export interface JobPage {
  rows: JobRow[];
  /** Whether there are jobs behind lastId. */
  goesOn: boolean;
  /** Behind which the next page begins. */
  lastId: string;
}

/** Deleted jobs do not count. */
export interface StoreCounts {
  active: number;
  paused: number;
  outbox: number;
}

/**
 * Which entries go first: what changes a job or runs it now waits behind no
 * bulk load, and neither does a job that somebody creates by hand.
 */
export const lanes = { change: 0, create: 1, batchCreate: 2 } as const;

export type Lane = (typeof lanes)[keyof typeof lanes];
export type CreateLane = Exclude<Lane, typeof lanes.change>;

export const allLanes: readonly Lane[] = [lanes.change, lanes.create, lanes.batchCreate];

export interface OutboxKey {
  lane: Lane;
  id: number;
}

/** A job whose state must be published, as it is by then; or a manual run. */
export interface OutboxEntry {
  key: OutboxKey;
  jobId: string;
  run: ManualRun | undefined;
}

/** What the broker has acknowledged on account of a job; or that there is nothing left to publish. */
export interface Receipt {
  jobId: string;
  keys: readonly OutboxKey[];
  /** Left out for a manual run, and for a job that is gone. */
  published?: PublishedState | undefined;
}

export interface PublishedState {
  timingGeneration: number;
  deleted: boolean;
  /** Where it stands in JOBS, and in which one. */
  sequence: number;
  edition: number;
}
