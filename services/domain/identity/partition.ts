/** Fixed: changing it moves jobs between subjects. */
export const partitionCount = 64;

/** The partition of a job: FNV-1a (32 bit) of its id, modulo the count. */
export function partitionOf(jobId: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < jobId.length; i++) {
    hash ^= jobId.charCodeAt(i);
    hash = Math.imul(hash, 0x01000193);
  }
  return (hash >>> 0) % partitionCount;
}
