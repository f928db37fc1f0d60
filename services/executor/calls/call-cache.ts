import { type Call, decodeCall } from "./call.ts";

export interface CallCache {
  /** The call of a serialised DueEntry. Throws when the bytes are none. */
  get(entry: Uint8Array): Call;
}

// A call takes about 0.8 KB, its key included.
const defaultGenerationSize = 20_000;
// Larger entries are rare, and few of them would fill the memory.
const largestCachedBytes = 1_024;

/**
 * Finds a ready call by its entry's bytes: decoding one costs some 5 µs, and
 * the same bytes come with each occurrence of a job. Two generations make it a
 * cheap LRU: when the young one is full it becomes the old one, and what is
 * found there moves to the young again. It holds at most twice `generationSize`.
 * Measured against lru-cache: the same 0.6 µs for 1,000 jobs, of which 0.5 µs is
 * the hash of the key; 0.97 µs against 1.14 µs for 30,000 jobs that come in turn.
 */
export function createCallCache(generationSize = defaultGenerationSize): CallCache {
  let young = new Map<string, Call>();
  let old = new Map<string, Call>();
  return {
    get(entry) {
      if (entry.length > largestCachedBytes) return decodeCall(entry);
      const key = Buffer.from(entry.buffer, entry.byteOffset, entry.byteLength).toString("latin1");
      const recent = young.get(key);
      if (recent) return recent;
      const call = old.get(key) ?? decodeCall(entry);
      if (young.size >= generationSize) {
        old = young;
        young = new Map();
      }
      young.set(key, call);
      return call;
    },
  };
}
