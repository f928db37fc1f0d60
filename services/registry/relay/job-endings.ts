import { partitionOf } from "../../domain/identity/partition.ts";
import { type Clock, secondOf } from "../../platform/process/clock.ts";
import type { Startable } from "../../platform/process/lifecycle.ts";
import type { Log } from "../../platform/process/log.ts";
import { createPeriodic } from "../../platform/process/periodic.ts";
import type { Watermark } from "../../wire/watermark.ts";
import type { EndingPlace, JobRow, RegistryStore } from "../store/contract.ts";
import type { StreamMark } from "../store/stream-mark.ts";
import type { ReadWatermarks } from "./watermarks.ts";

const lookEveryMs = 60_000;
// Twice as long as a ticker looks back when nobody knows what was published.
const marginSeconds = 2 * 3_600;
// An owner may have named sequences of the stream before for so long.
const unawareSeconds = 60;
const pageJobs = 500;

/**
 * Ends jobs that are never due again, once all that they were due at is published and nobody would
 * make up for any of it: finished one-shots do not fill JOBS and the tickers for ever. They stay in
 * the registry as they are.
 */
export function createJobEndings(
  store: Pick<RegistryStore, "listEnding" | "endJobs" | "readMark">,
  readWatermarks: ReadWatermarks,
  deps: { clock: Clock; log: Log; up: () => boolean },
): Startable {
  const { clock, log, up } = deps;
  const look = async (stopped: () => boolean) => {
    if (!up()) return;
    const beforeSecond = secondOf(clock.nowMs()) - marginSeconds;
    let after: EndingPlace | undefined;
    let page = await store.listEnding({ beforeSecond, after, limit: pageJobs });
    if (page.length === 0) return;
    const watermarks = await readWatermarks();
    const mark = await store.readMark();
    let ended = 0;
    while (page.length > 0 && !stopped()) {
      ended += await store.endJobs(page.filter((row) => isOver(row, watermarks.get(partitionOf(row.jobId)), mark)));
      const last = page.at(-1);
      if (last?.lastSecond === undefined || page.length < pageJobs) break;
      after = { lastSecond: last.lastSecond, jobId: last.jobId };
      page = await store.listEnding({ beforeSecond, after, limit: pageJobs });
    }
    if (ended > 0) log.info({ event: "jobs_ended", jobs: ended });
  };
  const onError = (error: unknown) => log.warn({ event: "jobs_not_ended", err: error });
  return createPeriodic({ clock, everyMs: lookEveryMs, onError }, look);
}

/** Whether all that a job was due at is published, and has been for longer than anybody looks back. */
export function isOver(row: JobRow, watermark: Watermark | undefined, mark: StreamMark): boolean {
  // While JOBS is filled anew no watermark is about it.
  if (!watermark || mark.rebuiltUpTo !== undefined || row.lastSecond === undefined) return false;
  const { second, jobsSequence } = watermark;
  // What the timings before it owe ends where it took effect.
  const lastOwedSecond = Math.max(row.lastSecond, secondOf(row.effectiveFromMs));
  if (second < lastOwedSecond + marginSeconds) return false;
  if (second < Date.parse(mark.created) / 1000 + unawareSeconds) return false;
  // 0: nobody knows yet under which one it went out. Of an earlier edition it is as that of no other.
  const firstSequence = row.timingEdition === mark.edition ? row.timingSequence : Math.min(row.timingSequence, 1);
  return firstSequence > 0 && jobsSequence >= firstSequence;
}
