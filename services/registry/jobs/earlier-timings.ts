import type { Job } from "../../../gen/carillon/v1/job_pb.ts";
import { scheduleOfEarlier, secondNotBefore } from "../../wire/job-schedule.ts";
import { type EarlierTimingRow, type JobRow, storedState } from "../store/contract.ts";

type TimedJob = Omit<JobRow, "job"> & { job: Job };

// As far back as tickers make up for anything.
const owedMs = 3_600_000;
// They go with each event of the job. Of edits that come thick and fast, most hold no occurrence
// between them: those go first.
const maxTimings = 32;
const maxTextChars = 4 * 1024;

/**
 * What a job is to carry along once its timing is replaced: a ticker that is behind, or away, knows
 * the last state alone, and publishes by these what was due before the change. A paused job owes
 * nothing, and a pause ends what was owed before it.
 */
export function earlierTimings(stored: TimedJob, nowMs: number): readonly EarlierTimingRow[] {
  if (stored.state !== storedState.active) return [];
  const timings = [...stored.earlier, endedTiming(stored, nowMs)]
    // A clock that was set back has a timing begin before the one before it.
    .map((timing) => (timing.untilMs > nowMs ? { ...timing, untilMs: nowMs } : timing))
    .filter(({ effectiveFromMs, untilMs }) => untilMs > effectiveFromMs && untilMs > nowMs - owedMs);
  if (fits(timings)) return timings;
  const owing = timings.filter((timing) => owesAny(stored, timing));
  while (!fits(owing)) owing.shift();
  return owing;
}

function endedTiming(stored: TimedJob, untilMs: number): EarlierTimingRow {
  const { job, timingGeneration, effectiveFromMs, timingSequence, timingEdition } = stored;
  const { schedule, timeZone } = job;
  const startSecond = job.startTime && secondNotBefore(job.startTime);
  const endSecond = job.endTime && secondNotBefore(job.endTime);
  const when = { schedule, timeZone, startSecond, endSecond, effectiveFromMs, untilMs };
  return { ...when, timingGeneration, timingSequence, timingEdition };
}

function fits(timings: readonly EarlierTimingRow[]): boolean {
  const chars = timings.reduce((sum, { schedule, timeZone }) => sum + schedule.length + timeZone.length, 0);
  return timings.length <= maxTimings && chars <= maxTextChars;
}

function owesAny({ job }: TimedJob, timing: EarlierTimingRow): boolean {
  const parsed = scheduleOfEarlier(job, timing);
  const first = parsed.ok ? parsed.schedule.nextAfter(Math.floor(timing.effectiveFromMs / 1000)) : undefined;
  return first !== undefined && first * 1000 <= timing.untilMs;
}
