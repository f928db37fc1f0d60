import { type Slot, standing } from "./timetable.ts";

export interface BatchLimits {
  entries: number;
  bytes: number;
}

/** The occurrences of one second while they are being cut into batches. */
export interface Pile {
  readonly second: number;
  readonly slots: readonly Slot[];
  /** The place of the first slot that is not in a batch yet. */
  next: number;
}

export interface Batch {
  second: number;
  entries: Uint8Array[];
  bytes: number;
  /** A hash over each (job, generation) in it. */
  contents: string;
}

// Tag and length in front of each entry, at their longest.
const framingBytes = 5;

/**
 * Takes the next batch off a pile; undefined when nothing is left. Leaves out jobs
 * that are no longer in the timetable: a paused or deleted job stops. One that was edited goes out as it is by now.
 */
export function nextBatch(pile: Pile, limits: BatchLimits): Batch | undefined {
  const entries: Uint8Array[] = [];
  const hash = new ContentsHash();
  let bytes = 0;
  for (; pile.next < pile.slots.length && entries.length < limits.entries; pile.next++) {
    const taken = pile.slots[pile.next];
    const slot = taken && standing(taken, pile.second);
    if (!slot) continue;
    const size = slot.entry.length + framingBytes;
    // A single entry beyond the limit still goes out, alone.
    if (entries.length > 0 && bytes + size > limits.bytes) break;
    entries.push(slot.entry);
    bytes += size;
    hash.add(slot.jobId, slot.generation);
  }
  if (entries.length === 0) return undefined;
  return { second: pile.second, entries, bytes, contents: hash.text() };
}

/**
 * 64 bits over a list of (job, generation): two 32-bit FNV-1a lanes with different
 * offsets and primes. Of two batches of one partition and second that collide, the
 * broker would drop one; with 64 bits and a few batches that does not happen.
 */
class ContentsHash {
  #a = 0x811c9dc5 | 0;
  #b = 0x9747b28c | 0;

  add(jobId: string, generation: number): void {
    let a = this.#a;
    let b = this.#b;
    for (let i = 0; i < jobId.length; i++) {
      const code = jobId.charCodeAt(i);
      a = Math.imul(a ^ code, 0x01000193);
      b = Math.imul(b ^ code, 0x5bd1e995);
      b ^= b >>> 15;
    }
    a = Math.imul(a ^ generation, 0x01000193);
    b = Math.imul(b ^ generation, 0x5bd1e995);
    this.#a = a ^ (a >>> 13);
    this.#b = b ^ (b >>> 15);
  }

  text(): string {
    return `${(this.#a >>> 0).toString(36)}.${(this.#b >>> 0).toString(36)}`;
  }
}
