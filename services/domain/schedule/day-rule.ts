import { Cron } from "croner";
import { LRUCache } from "lru-cache";
import { type CronField, cronFields } from "./cron-field.ts";

/**
 * Which days a pattern falls on. This is the part of cron that has a calendar in it (L, W, #, leap
 * years, the two day fields), and croner walks it; the time of day is arithmetic and stays with
 * cron-pattern.ts. Few distinct day rules exist however many patterns there are: most are `* * *`,
 * which needs no croner at all.
 *
 * Days are counted from 1970-01-01 on the wall calendar, whatever the zone.
 */
export interface DayRule {
  /** The three day fields, normalised, as croner is given them. */
  readonly key: string;
  /** The first day >= day that the rule falls on. */
  nextDay(day: number): number | undefined;
}

export const secondsPerDay = 86_400;

/** A croner object takes 83 KB and 0.1 to 0.3 ms to make, so only so many are kept. */
const maxWalkers = 128;
const maxRules = 4_096;
const longestMonth = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

const walkers = new LRUCache<string, Cron>({ max: maxWalkers, memoMethod: makeWalker });
const rules = new LRUCache<string, DayRule>({ max: maxRules, memoMethod: (key) => new CronerDays(key) });

const everyDay: DayRule = { key: "* * *", nextDay: (day) => day };

/**
 * The rule of the three day fields, or the reason why it can never fall on a day.
 *
 * When both the day of month and the day of week are restricted (written as anything but `*` or
 * `?`), a day matches when *either* does: crontab(5), the note under "day of month". As in croner
 * (and unlike vixie-cron, by the letter of its source) a step such as star-slash-2 is a restriction.
 */
export function dayRule(dom: CronField, month: CronField, dow: CronField): DayRule | string {
  const anyMonth = month.bits.size === 12;
  const everyDom = dom.bits.size === 31;
  const everyDow = dow.bits.size === 7;
  // Two restricted fields of which one names every day come to every day.
  const either = !dom.wildcard && !dow.wildcard;
  const anyDay = either ? everyDom || everyDow : everyDom && everyDow;
  const domText = anyDay || everyDom ? "*" : listOf(dom);
  const dowText = anyDay || everyDow ? "*" : listOf(dow);
  const monthText = anyMonth ? "*" : listOf(month);
  if (dowText === "*" && domText !== "*") {
    const problem = neverComes(dom, month);
    if (problem !== undefined) return problem;
  }
  const key = `${domText} ${monthText} ${dowText}`;
  if (key === everyDay.key) return everyDay;
  return rules.memo(key);
}

class CronerDays implements DayRule {
  readonly key: string;
  /** The last answer: every day in [from, next] has `next` as its answer. */
  #from = 0;
  #next: number | undefined = -1;

  constructor(key: string) {
    this.key = key;
  }

  nextDay(day: number): number | undefined {
    if (day >= this.#from && (this.#next === undefined || day <= this.#next)) return this.#next;
    const found = walkers.memo(this.key).nextRun(new Date((day * secondsPerDay - 1) * 1000));
    this.#from = day;
    this.#next = found === null ? undefined : found.getTime() / 1000 / secondsPerDay;
    return this.#next;
  }
}

/**
 * `utcOffset: 0` makes croner read and write dates by their UTC fields: right in whatever zone the
 * process runs, and several times faster than a zone's name, `UTC` included. It gives up by itself
 * after 400 years without a match.
 */
function makeWalker(key: string): Cron {
  return new Cron(`0 0 0 ${key}`, { paused: true, utcOffset: 0, mode: "6-part" });
}

function listOf(field: CronField): string {
  return [...field.bits.values(), ...[...field.specials].sort()].join(",");
}

/** Days of month that none of the months has. (A day of week comes in every month, a fifth too.) */
function neverComes(dom: CronField, month: CronField): string | undefined {
  if (dom.specials.has("L") || dom.specials.has("LW")) return undefined;
  const nearest = [...dom.specials].map((special) => Number.parseInt(special, 10));
  const earliest = Math.min(...dom.bits.values(), ...nearest);
  const months = month.bits.values();
  if (months.some((m) => earliest <= (longestMonth[m - 1] ?? 0))) return undefined;
  const names = months.map((m) => cronFields.month.names[m - 1]).join(", ");
  return `day of month: never fires, since ${names} has no day ${earliest}`;
}
