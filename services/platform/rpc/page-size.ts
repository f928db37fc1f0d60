const most = 1_000;

/** How many a list answers with at most, as AIP-158 has it: none given means the default, and more than there may be is no fault. */
export function pageSizeOf(asked: number, byDefault: number): number {
  return Math.min(asked || byDefault, most);
}
