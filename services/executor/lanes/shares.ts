/** From here on those that have more than their share of a stream put nothing more into it. */
export const nearlyFull = 0.8;

/** Those that have their share of the bytes, or more, and at least so many. */
export function crowdedOf(bytesOf: ReadonlyMap<string, number>, atLeast = 0): Set<string> {
  const share = [...bytesOf.values()].reduce((sum, bytes) => sum + bytes, 0) / Math.max(bytesOf.size, 1);
  const most = Math.max(share, atLeast);
  return new Set([...bytesOf].filter(([, bytes]) => bytes >= most).map(([name]) => name));
}
