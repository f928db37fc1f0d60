import { crowdedOf, nearlyFull } from "../lanes/shares.ts";

/** Whose retries may wait in RETRY, which all targets share. Pure. */
export interface RetryRoom {
  /**
   * Once RETRY is four fifths full not those of origins that have more than their share of it: what waits
   * for hours for one target must not take the room of others. Once it is all but full only those that wait
   * shortly, of origins that have little in it: the rest is kept for them, however many others asked for hours.
   */
  mayWait(origin: string, waitMs: number): boolean;
  /** A retry is put there until an instant, unix milliseconds. */
  note(origin: string, bytes: number, nowMs: number, untilMs: number): void;
  /** How much is in RETRY, of how much there may be; a limit of 0 or less is none. To be told every second or so. */
  update(bytes: number, maxBytes: number, nowMs: number): void;
}

// Less than what counts as a full stream for the readiness of the front door, which is not one target's to take.
const allButFull = 0.9;
// What is due within a minute gives its room back by itself.
const shortWaitMs = 60_000;
const littleOfAll = 1 / 64;
// Of the whole of RETRY: less of it is nobody's to blame. This process may have begun only now, and not know who filled it.
const leastShare = 1 / 1_000;
// How exactly the end of a wait is remembered: to an eighth of it.
const grainOfWait = 1 / 8;
const leastGrainMs = 8_000;
// Of those beyond it nothing is known, and so nothing held against them.
const maxOrigins = 20_000;

/** Counts what this executor has put there: the others see about the same mixture, each of its own part. */
export function createRetryRoom(): RetryRoom {
  const bytesOf = new Map<string, number>();
  /** What leaves by an instant, by origin. */
  const endings = new Map<number, Map<string, number>>();
  /** Undefined while there is enough room for all. */
  let crowded: ReadonlySet<string> | undefined;
  let limit = Number.POSITIVE_INFINITY;
  /** In RETRY, as far as is known: what this process has put there since it was told is counted too. */
  let stored = 0;

  const crowdedNow = () => crowdedOf(bytesOf, limit * leastShare);
  const leave = (ended: ReadonlyMap<string, number>) => {
    for (const [origin, bytes] of ended) {
      const left = (bytesOf.get(origin) ?? 0) - bytes;
      if (left > 0) bytesOf.set(origin, left);
      else bytesOf.delete(origin);
    }
  };

  return {
    mayWait(origin, waitMs) {
      if (stored <= limit * allButFull && !crowded?.has(origin)) return true;
      // Where this is too much as well, RETRY itself refuses.
      return waitMs <= shortWaitMs && (bytesOf.get(origin) ?? 0) <= limit * littleOfAll;
    },
    note(origin, bytes, nowMs, untilMs) {
      stored += bytes;
      // One that is filled within a second is not found when it is full.
      if (stored > limit * nearlyFull) crowded ??= crowdedNow();
      const known = bytesOf.get(origin);
      if (known === undefined && bytesOf.size >= maxOrigins) return;
      bytesOf.set(origin, (known ?? 0) + bytes);
      const grainMs = Math.max(leastGrainMs, 2 ** Math.floor(Math.log2((untilMs - nowMs) * grainOfWait || 1)));
      const endMs = Math.ceil(untilMs / grainMs) * grainMs;
      let ending = endings.get(endMs);
      if (!ending) {
        ending = new Map();
        endings.set(endMs, ending);
      }
      ending.set(origin, (ending.get(origin) ?? 0) + bytes);
    },
    update(bytes, maxBytes, nowMs) {
      for (const [endMs, ended] of endings) {
        if (endMs > nowMs) continue;
        endings.delete(endMs);
        leave(ended);
      }
      stored = bytes;
      limit = maxBytes > 0 ? maxBytes : Number.POSITIVE_INFINITY;
      crowded = stored > limit * nearlyFull ? crowdedNow() : undefined;
    },
  };
}
