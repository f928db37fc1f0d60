// Small enough that a slab is soon free again when its entries are replaced one by one.
const slabBytes = 8 * 1024;
const largestShared = slabBytes / 8;

/**
 * Copies small buffers into shared ones: a buffer of its own costs some 300
 * bytes beside its contents, and there is one a job.
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
