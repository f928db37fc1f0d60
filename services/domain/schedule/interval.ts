/** `@every`: a fixed number of seconds, counted in real time, whatever clocks and zones do. */

/** 366 days: the longest period that still makes sense beside `@yearly`. */
const maxIntervalSeconds = 366 * 86_400;

const secondsOfUnit: Readonly<Record<string, number>> = { h: 3600, m: 60, s: 1 };
const finerUnits = ["ms", "us", "µs", "μs", "ns"];

/**
 * A duration in Go's syntax (time.ParseDuration: `90s`, `1h30m`), in whole seconds; else the reason.
 */
export function parseInterval(text: string): number | string {
  if (text === "") return "@every needs a duration, such as @every 10s or @every 1h30m";
  if (/^[+-]/.test(text)) return `@every ${text}: a sign is not allowed`;
  if (/[.,]/.test(text)) return `@every ${text}: fractions are not allowed; write 1h30m, not 1.5h`;
  if (!/^(\d+\D*)+$/.test(text) || /\s/.test(text)) {
    return `@every ${text}: not a duration; write numbers with h, m or s, such as 1h30m`;
  }
  let seconds = 0;
  for (const [part, digits = "", unit = ""] of text.matchAll(/(\d+)(\D*)/g)) {
    if (unit === "") return `@every ${text}: ${part} has no unit (h, m or s)`;
    if (finerUnits.includes(unit)) return `@every ${text}: ${unit} is finer than a second`;
    const unitSeconds = secondsOfUnit[unit];
    if (unitSeconds === undefined) return `@every ${text}: unknown unit "${unit}" (h, m or s)`;
    seconds += Number(digits) * unitSeconds;
  }
  if (seconds < 1) return `@every ${text}: shorter than 1s`;
  if (seconds > maxIntervalSeconds) return `@every ${text}: longer than 8784h (366 days)`;
  return seconds;
}

/** The first second > after on the grid phase + k * intervalSeconds. */
export function nextOnGrid(intervalSeconds: number, phase: number, after: number): number {
  return (Math.floor((after - phase) / intervalSeconds) + 1) * intervalSeconds + phase;
}
