import { createHash } from "node:crypto";

/**
 * Where attempts wait for their target. Each origin has two lanes: one for its calls, and one for
 * those of jobs that are slow while the origin answers others at once.
 */
export type LaneKind = "all" | "slow";

/** What a lane is called in subjects and consumers, where an origin could not stand. */
export function laneOf(origin: string, kind: LaneKind): string {
  return createHash("sha256").update(`${kind} ${origin}`).digest("base64url").slice(0, 22);
}
