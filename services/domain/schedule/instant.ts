/** `@at`: one instant, RFC 3339 with an offset, to the second. */

const rfc3339 = /^(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2}):(\d{2})(\.\d+)?(Z|[+-]\d{2}:\d{2})?$/i;
const example = "such as 2026-12-01T09:00:00Z";

/**
 * The instant in unix seconds; else the reason. A fraction of zero is taken (Date.toISOString always
 * writes one), any other is refused rather than rounded.
 */
export function parseInstant(text: string): number | string {
  if (text === "") return `@at needs an instant, ${example}`;
  const match = rfc3339.exec(text);
  if (!match) return `@at ${text}: not an RFC 3339 instant, ${example}`;
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map(Number) as Six;
  const [fraction = "", zone] = match.slice(7);
  if (zone === undefined) return `@at ${text}: needs Z or an offset, ${example}`;
  if (/[1-9]/.test(fraction)) return `@at ${text}: fractions of a second are not supported`;
  const wallMs = Date.UTC(year, month - 1, day);
  const date = new Date(wallMs);
  if (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day) {
    return `@at ${text}: there is no such day`;
  }
  if (hour > 23 || minute > 59 || second > 59) return `@at ${text}: there is no such time of day`;
  const offset = offsetSeconds(zone);
  if (offset === undefined) return `@at ${text}: the offset ${zone} is outside -23:59 to +23:59`;
  const instant = wallMs / 1000 + hour * 3600 + minute * 60 + second - offset;
  if (instant < 0 || year > 2999) return `@at ${text}: lies outside 1970 to 2999`;
  return instant;
}

type Six = [number, number, number, number, number, number];

function offsetSeconds(zone: string): number | undefined {
  if (/^z$/i.test(zone)) return 0;
  const [hours = 0, minutes = 0] = zone.slice(1).split(":").map(Number);
  if (hours > 23 || minutes > 59) return undefined;
  return (zone.startsWith("-") ? -1 : 1) * (hours * 3600 + minutes * 60);
}
