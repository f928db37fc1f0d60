import { type CreatedJobs, type NewRow, type RememberedAnswer, type RememberedCall, sameContents } from "./contract.ts";

const nothingEarlier: ReadonlyMap<number, Uint8Array> = new Map();

/**
 * The contract's rule for request ids in createJobs, for the engines behind it:
 * what becomes of a batch, before its first job is written. `recall` finds what
 * a request id was answered before.
 */
export function planCreations(
  creations: readonly NewRow[],
  recall: (requestId: string) => RememberedAnswer | undefined,
): CreatedJobs {
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
