// A slab stays in memory until its last entry is replaced: the smaller it is, the sooner it goes.
const slabBytes = 8 * 1024;
const largestShared = slabBytes / 8;

/**
 * Copies small entries into shared buffers. A buffer of its own costs an entry
 * some 300 bytes beside its contents, and there is an entry for each job.
 */
export function createEntrySlab(): (entry: Uint8Array) => Uint8Array {
  let slab = new Uint8Array(slabBytes);
  let used = 0;
  return (entry) => {
    if (entry.length > largestShared) return entry;
    if (used + entry.length > slabBytes) {
      slab = new Uint8Array(slabBytes);
      used = 0;
    }
    const copy = slab.subarray(used, used + entry.length);
    copy.set(entry);
    used += entry.length;
    return copy;
  };
}
