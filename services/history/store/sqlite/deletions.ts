import { ExecutionStatus } from "../../../../gen/carillon/v1/execution_pb.ts";
import type { Sqlite } from "../../../platform/sql/sqlite.ts";
import type { JobState, JobsPlace } from "../contract.ts";
import { createHorizonReader, type Horizon, horizonOf } from "./horizon.ts";
import type { JobKeys } from "./job-keys.ts";
import { createNewestReader, createNewestWriter } from "./newest.ts";
import type { Segments } from "./segments.ts";

/** Which jobs are deleted. Of what is theirs the sweep takes what lies before it; what lies behind it already goes here. */
export interface Deletions {
  note(jobs: readonly JobState[], place: JobsPlace): void;
  place(): JobsPlace | undefined;
  /**
   * Forgets what is left of some deleted jobs behind the horizon, and those of which nothing is left at all. Says whether
   * there was one to look at. To be called while no full segment is to be sealed.
   */
  settle(): boolean;
}

/** 5 to 10 ms of work: what a commit may have to wait for. */
const jobsPerStep = 200;
/** Where something is left that does not go with the sweep (what waits for a retry), it is looked at again so much later. */
const lookAgainSeconds = 3_600;

export function createDeletions(db: Sqlite, keys: JobKeys, segments: Segments): Deletions {
  const newestOf = createNewestReader(db);
  const newest = createNewestWriter(db);
  const readHorizon = createHorizonReader(db);
  const any = db.prepare<[]>("select 1 from deletions limit 1");
  const insert = db.prepare<[jobKey: number, second: number]>("insert or ignore into deletions values (?, ?, 0)");
  const remove = db.prepare<[jobKey: number]>("delete from deletions where job_key = ?");
  const removeNewest = db.prepare<[jobKey: number]>("delete from newest where job_key = ?");
  // Rides on deletions_by_look.
  const due = db.prepare<[horizon: number, rows: number], { jobKey: number; second: number }>(
    "select job_key as jobKey, second from deletions where look_at < ? order by look_at limit ?",
  );
  const lookAt = db.prepare<[second: number, jobKey: number]>("update deletions set look_at = ? where job_key = ?");
  // Rides on executions_waiting.
  const waits = db.prepare<[jobKey: number]>(
    `select 1 from executions where job_key = ? and status = ${ExecutionStatus.RETRYING} limit 1`,
  );
  const setPlace = db.prepare<JobsPlace>("update state set jobs_stream = @stream, jobs_sequence = @sequence");
  const getPlace = db.prepare<[], JobsPlace>(
    "select jobs_stream as stream, jobs_sequence as sequence from state where jobs_stream is not null",
  );

  const note = db.transaction((jobs: readonly JobState[], place: JobsPlace) => {
    // Nearly all that is told is of jobs that stand.
    let none = any.get() === undefined;
    for (const { jobId, deleted, second } of jobs) {
      if (deleted) {
        insert.run(keys.obtain(jobId), second);
        none = false;
      } else if (!none) restore(jobId);
    }
    setPlace.run(place);
  });
  const restore = (jobId: string) => {
    const jobKey = keys.find(jobId);
    if (jobKey === undefined || remove.run(jobKey).changes === 0) return;
    newest.recount(jobKey, newestOf(jobKey));
  };

  /** When there will be something to do again about a deleted job; undefined when nothing of it is left. */
  const nextLook = (jobKey: number, deletedAt: number, horizon: Horizon): number | undefined => {
    const { reach } = newestOf(jobKey);
    const [open] = segments.open.index.newestFirst(jobKey);
    if (reach >= horizonOf(horizon, jobKey) || open || waits.get(jobKey)) {
      return Math.max(reach, open?.second ?? 0, horizon.second + lookAgainSeconds);
    }
    // What comes late is a deleted job's as well.
    return deletedAt >= horizon.second ? deletedAt : undefined;
  };
  const settleSome = db.transaction((horizon: Horizon): boolean => {
    const jobs = due.all(horizon.second, jobsPerStep);
    for (const { jobKey, second } of jobs) {
      const known = newestOf(jobKey);
      if (known.seconds.length > 0) newest.count(jobKey, known, [], horizon);
      const next = nextLook(jobKey, second, horizon);
      if (next !== undefined) lookAt.run(next, jobKey);
      else {
        remove.run(jobKey);
        removeNewest.run(jobKey);
        keys.drop(jobKey);
      }
    }
    return jobs.length > 0;
  });

  return {
    note(jobs, place) {
      try {
        // No fsync of its own: after a power cut the place is an older one as well, and the same is read again.
        db.pragma("synchronous = NORMAL");
        note(jobs, place);
      } catch (error) {
        keys.forget();
        throw error;
      } finally {
        db.pragma("synchronous = FULL");
      }
    },
    place: () => getPlace.get(),
    settle: () => settleSome(readHorizon()),
  };
}
