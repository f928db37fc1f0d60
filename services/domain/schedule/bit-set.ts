/**
 * A set of small numbers (0..59) as two 30-bit words: both stay small integers in V8, so a pattern
 * costs tens of bytes where croner's own arrays cost 83 KB.
 */
const wordBits = 30;

export class BitSet {
  low = 0;
  high = 0;

  add(value: number): void {
    if (value < wordBits) this.low |= 1 << value;
    else this.high |= 1 << (value - wordBits);
  }

  get size(): number {
    return countBits(this.low) + countBits(this.high);
  }

  values(): number[] {
    const found: number[] = [];
    for (let v = nextBit(this.low, this.high, 0); v >= 0; v = nextBit(this.low, this.high, v + 1)) {
      found.push(v);
    }
    return found;
  }
}

/** The smallest member >= from, or -1. */
export function nextBit(low: number, high: number, from: number): number {
  if (from < wordBits) {
    const rest = (low >>> from) << from;
    if (rest !== 0) return lowestBit(rest);
    return high === 0 ? -1 : wordBits + lowestBit(high);
  }
  if (from >= 2 * wordBits) return -1;
  const shift = from - wordBits;
  const rest = (high >>> shift) << shift;
  return rest === 0 ? -1 : wordBits + lowestBit(rest);
}

function lowestBit(word: number): number {
  return 31 - Math.clz32(word & -word);
}

function countBits(word: number): number {
  let count = 0;
  // Each turn clears the lowest bit that is set.
  for (let rest = word; rest !== 0; rest &= rest - 1) count++;
  return count;
}
