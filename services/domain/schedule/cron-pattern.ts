import { LRUCache } from "lru-cache";
import { type BitSet, nextBit } from "./bit-set.ts";
import { cronFields, parseField } from "./cron-field.ts";
import { type DayRule, dayRule, secondsPerDay } from "./day-rule.ts";

/** The nicknames of crontab(5), and two for the shorter periods. */
const nicknames: Readonly<Record<string, string>> = {
  "@yearly": "0 0 0 1 1 *",
  "@annually": "0 0 0 1 1 *",
  "@monthly": "0 0 0 1 * *",
  "@weekly": "0 0 0 * * 0",
  "@daily": "0 0 0 * * *",
  "@midnight": "0 0 0 * * *",
  "@hourly": "0 0 * * * *",
  "@minutely": "0 * * * * *",
  "@secondly": "* * * * * *",
};

/**
 * A cron pattern on the wall clock: "wall seconds" count from 1970-01-01T00:00:00 as a clock on the
 * wall shows it, without zone. About 100 bytes; croner stands behind `days` only.
 */
export class CronPattern {
  /** Whether every hour or a step of hours is meant, so that it keeps its cadence: see zone-cron.ts. */
  readonly keepsCadence: boolean;
  readonly #secondLow: number;
  readonly #secondHigh: number;
  readonly #minuteLow: number;
  readonly #minuteHigh: number;
  readonly #hours: number;
  readonly #days: DayRule;

  constructor(second: BitSet, minute: BitSet, hour: BitSet, keepsCadence: boolean, days: DayRule) {
    this.#secondLow = second.low;
    this.#secondHigh = second.high;
    this.#minuteLow = minute.low;
    this.#minuteHigh = minute.high;
    this.#hours = hour.low;
    this.#days = days;
    this.keepsCadence = keepsCadence;
  }

  /** Equal keys, equal occurrences. */
  get key(): string {
    const words = [this.#secondLow, this.#secondHigh, this.#minuteLow, this.#minuteHigh, this.#hours];
    return `${words.map((word) => word.toString(36)).join(".")} ${this.#days.key}`;
  }

  /** The first matching wall second > wall. */
  nextWall(wall: number): number | undefined {
    const from = wall + 1;
    const today = Math.floor(from / secondsPerDay);
    const day = this.#days.nextDay(today);
    if (day === undefined) return undefined;
    if (day !== today) return day * secondsPerDay + this.#nextTimeOfDay(0);
    const time = this.#nextTimeOfDay(from - today * secondsPerDay);
    if (time >= 0) return today * secondsPerDay + time;
    const later = this.#days.nextDay(today + 1);
    return later === undefined ? undefined : later * secondsPerDay + this.#nextTimeOfDay(0);
  }

  /** The first matching second of the day >= from, or -1. */
  #nextTimeOfDay(from: number): number {
    const fromHour = Math.floor(from / 3600);
    const fromMinute = Math.floor(from / 60) % 60;
    const hour = nextBit(this.#hours, 0, fromHour);
    if (hour === fromHour) {
      const minute = nextBit(this.#minuteLow, this.#minuteHigh, fromMinute);
      if (minute === fromMinute) {
        const second = nextBit(this.#secondLow, this.#secondHigh, from % 60);
        if (second >= 0) return hour * 3600 + minute * 60 + second;
      }
      const nextMinute = minute === fromMinute ? nextBit(this.#minuteLow, this.#minuteHigh, fromMinute + 1) : minute;
      if (nextMinute >= 0) return hour * 3600 + nextMinute * 60 + this.#firstSecond();
    }
    const nextHour = hour === fromHour ? nextBit(this.#hours, 0, fromHour + 1) : hour;
    if (nextHour < 0) return -1;
    return nextHour * 3600 + nextBit(this.#minuteLow, this.#minuteHigh, 0) * 60 + this.#firstSecond();
  }

  #firstSecond(): number {
    return nextBit(this.#secondLow, this.#secondHigh, 0);
  }
}

/** By text: a million jobs are usually written in a few thousand ways. */
const patterns = new LRUCache<string, CronPattern>({ max: 8_192 });

/** A pattern from 5 fields (second 0), 6 fields (seconds first) or a nickname; else the reason. */
export function parseCron(text: string, jobId: string): CronPattern | string {
  const known = patterns.get(text);
  if (known !== undefined) return known;
  const given = text.trim();
  const fields = (given.startsWith("@") ? nicknamed(given) : given).split(/\s+/);
  if (fields[0]?.startsWith("@")) {
    const known = [...Object.keys(nicknames), "@every", "@at"].join(", ");
    return `"${fields[0]}" is not known; known are ${known}`;
  }
  if (/^(CRON_)?TZ=/i.test(fields[0] ?? "")) {
    return `"${fields[0]}": the expression names no zone; set time_zone instead`;
  }
  if (fields.length === 5) fields.unshift("0");
  if (fields.length !== 6) return `expected 5 or 6 fields, got ${fields.length}`;
  const [s = "", m = "", h = "", dom = "", mon = "", dow = ""] = fields;
  const second = parseField(cronFields.second, s, jobId);
  if (typeof second === "string") return second;
  const minute = parseField(cronFields.minute, m, jobId);
  if (typeof minute === "string") return minute;
  const hour = parseField(cronFields.hour, h, jobId);
  if (typeof hour === "string") return hour;
  const dayOfMonth = parseField(cronFields.dayOfMonth, dom, jobId);
  if (typeof dayOfMonth === "string") return dayOfMonth;
  const month = parseField(cronFields.month, mon, jobId);
  if (typeof month === "string") return month;
  const dayOfWeek = parseField(cronFields.dayOfWeek, dow, jobId);
  if (typeof dayOfWeek === "string") return dayOfWeek;
  const days = dayRule(dayOfMonth, month, dayOfWeek);
  if (typeof days === "string") return days;
  const keepsCadence = hour.cadence || hour.bits.size === 24;
  const pattern = new CronPattern(second.bits, minute.bits, hour.bits, keepsCadence, days);
  const all = [second, minute, hour, dayOfMonth, month, dayOfWeek];
  if (!all.some((field) => field.hashed)) patterns.set(text, pattern);
  return pattern;
}

function nicknamed(name: string): string {
  return nicknames[name.toLowerCase()] ?? name;
}
