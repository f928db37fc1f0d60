import { type CreatedJobs, type NewRow, type RememberedAnswer, type RememberedCall, sameContents } from "./contract.ts";
import { findTakenKey } from "./named-jobs.ts";

const nothingEarlier: ReadonlyMap<number, Uint8Array> = new Map();

/** What is known of what there is already. */
export interface Known {
  /** What a request id was answered before. */
  recall(requestId: string): RememberedAnswer | undefined;
  /** The job that has a key. */
  holderOf(key: string): string | undefined;
}

/**
 * The contract's rules for request ids and keys in createJobs, for the engines
 * behind it: what becomes of a batch, before its first job is written. `keys`: of
 * the creations, by their place.
 */
export function planCreations(
  creations: readonly NewRow[],
  keys: readonly (string | undefined)[],
  known: Known,
): CreatedJobs {
  const plan = planRequests(creations, known.recall);
  if (plan.kind !== "created" || keys.every((key) => key === undefined)) return plan;
  const claims = creations.map(({ row: { jobId } }, index) =>
    plan.earlier.has(index) ? undefined : { jobId, key: keys[index] },
  );
  return findTakenKey(claims, known.holderOf) ?? plan;
}

function planRequests(creations: readonly NewRow[], recall: Known["recall"]): CreatedJobs {
  if (creations.every(({ request }) => request === undefined)) return { kind: "created", earlier: nothingEarlier };
  const earlier = new Map<number, Uint8Array>();
  const inThisBatch = new Map<string, RememberedCall>();
  for (const [index, { request }] of creations.entries()) {
    if (!request) continue;
    const known = recall(request.requestId) ?? inThisBatch.get(request.requestId);
    if (!known) inThisBatch.set(request.requestId, request);
    else if (sameContents(known, request)) earlier.set(index, known.answer);
    else return { kind: "reused", index };
  }
  return { kind: "created", earlier };
}
