import type { PurgeJobsRequest, PurgeJobsResponse } from "../../../gen/carillon/v1/job_pb.ts";
import { type Clock, sleep } from "../../platform/process/clock.ts";
import { invalidField } from "../../platform/rpc/errors/rpc-error.ts";
import { type RegistryStore, storedState } from "../store/contract.ts";
import type { Label } from "../store/named-jobs.ts";
import { stepTo } from "./job-changes.ts";
import { parseLabelFilter } from "./label-filter.ts";
import type { ChangeNamed, Step } from "./named-changes.ts";
import { decodePageToken, encodePageToken } from "./page-token.ts";
import { accept } from "./refusals.ts";
import type { StoredJob } from "./stored-job.ts";

// What a call deletes, and what it counts when it deletes nothing.
const mostDeleted = 1_000;
const mostCounted = 100_000;
// A transaction, or a look, of so many takes some ten milliseconds; others get their turn in between.
const deletedAtOnce = 200;
const countedAtOnce = 2_000;
const sampleSize = 100;

export type PurgeJobs = (
  request: PurgeJobsRequest,
  signal: AbortSignal,
) => Promise<Omit<PurgeJobsResponse, "$typeName">>;

/** Deletes jobs by their labels, a bounded number a call and a few at a time, or only counts them. */
export function createJobPurge(deps: {
  store: Pick<RegistryStore, "listLabelled">;
  changeNamed: ChangeNamed;
  clock: Clock;
}): PurgeJobs {
  const { store, changeNamed, clock } = deps;

  /** Deletes those that have the labels still. */
  const remove = async (jobIds: readonly string[], labels: readonly Label[]) => {
    const decide = (all: readonly (StoredJob | undefined)[], nowMs: number) =>
      accept(all.map((stored) => purgeStep(stored, labels, nowMs)));
    const steps = await changeNamed(jobIds, decide, { stops: true });
    return jobIds.filter((_, index) => steps[index]?.kind === "changed");
  };

  return async ({ filter, force, maxCount, pageToken }, signal) => {
    const labels = parseLabelFilter(filter);
    if (labels.length === 0) throw invalidField("filter", "value is required");
    const asked = ["purge", filter, String(force)] as const;
    const afterId = decodePageToken(pageToken, ...asked);
    if (afterId === undefined) {
      throw invalidField("page_token", "is not a token of this filter and force", "PAGE_TOKEN_INVALID");
    }
    const [most, atOnce] = force
      ? [Math.min(maxCount || mostDeleted, mostDeleted), deletedAtOnce]
      : [mostCounted, countedAtOnce];
    let place = { lastId: afterId, goesOn: true };
    let count = 0;
    const sample: string[] = [];
    // What is looked at ends a call as well, however little of it is found.
    for (let looked = 0; place.goesOn && count < most && looked < mostCounted / countedAtOnce; looked++) {
      if (signal.aborted) throw signal.reason;
      const page = await store.listLabelled({ labels, afterId: place.lastId, limit: Math.min(atOnce, most - count) });
      const jobIds = force && page.jobIds.length > 0 ? await remove(page.jobIds, labels) : page.jobIds;
      count += jobIds.length;
      sample.push(...jobIds.slice(0, sampleSize - sample.length));
      place = page;
      if (place.goesOn) await sleep(clock, 0, signal);
    }
    return {
      purgeCount: count,
      purgeSample: sample,
      nextPageToken: place.goesOn ? encodePageToken(place.lastId, ...asked) : "",
    };
  };
}

/** One whose labels were changed since it was found stays. */
function purgeStep(stored: StoredJob | undefined, labels: readonly Label[], nowMs: number): Step {
  if (!stored) return { kind: "missing" };
  const matches = labels.every(([name, value]) => stored.job.labels[name] === value);
  return matches ? stepTo(stored, storedState.deleted, nowMs) : { kind: "kept", stored };
}
