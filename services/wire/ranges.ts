// Beyond it a number is no second or instant that a clock could have shown (year 33658). The id of
// an execution has room for twelve digits.
const greatestSecond = 999_999_999_999;

/** Whether a number can be a unix second. */
export function isSecond(second: number): boolean {
  return second >= 0 && second <= greatestSecond;
}

/** Whether a number can be an instant in unix milliseconds. */
export function isInstant(ms: number): boolean {
  return ms >= 0 && ms <= greatestSecond * 1000;
}

/** Throws when it is no instant. */
export function instantFrom(value: bigint): number {
  const ms = Number(value);
  if (!isInstant(ms)) throw new RangeError(`instant ${value} is out of range`);
  return ms;
}

/** Throws when it is no second. */
export function secondFrom(value: bigint): number {
  const second = Number(value);
  if (!isSecond(second)) throw new RangeError(`second ${value} is out of range`);
  return second;
}
