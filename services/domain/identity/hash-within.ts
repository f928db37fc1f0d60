/**
 * The `H` of a cron field: a number that looks random, differs from job to job and from field to
 * field, and is the same for a job for ever. FNV-1a over the job id, then the finaliser of
 * MurmurHash3, because FNV alone leaves the low bits of ids that differ in one character alike.
 */
export function hashWithin(jobId: string, fieldName: string, size: number): number {
  let hash = 0x811c9dc5;
  for (const text of [fieldName, ":", jobId]) {
    for (let i = 0; i < text.length; i++) {
      hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
    }
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  hash ^= hash >>> 16;
  return (hash >>> 0) % size;
}
