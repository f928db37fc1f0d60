/**
 * For the tests only: a cron matcher that tries every instant and shares no code with the
 * implementation. It reads the pattern itself, and asks Intl for the wall clock of each minute.
 */

const at = (text: string) => Date.parse(text) / 1000;

// A small seeded generator (mulberry32): a failure names its seed and can be run again.
export function generator(seed: number) {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
  const int = (from: number, to: number) => from + Math.floor(next() * (to - from + 1));
  const pick = <T>(items: readonly T[]): T => items[int(0, items.length - 1)] as T;
  return { int, pick };
}
type Random = ReturnType<typeof generator>;

interface Wall {
  second: number;
  minute: number;
  hour: number;
  day: number;
  month: number;
  year: number;
}

export function wallOf(wallSecond: number): Wall {
  const date = new Date(wallSecond * 1000);
  return {
    second: date.getUTCSeconds(),
    minute: date.getUTCMinutes(),
    hour: date.getUTCHours(),
    day: date.getUTCDate(),
    month: date.getUTCMonth() + 1,
    year: date.getUTCFullYear(),
  };
}

const members = new Map<string, boolean[]>();

/** Whether the numbers of a field name a value; worked out once a field, since it is asked often. */
export function has(field: string, value: number, min: number, max: number): boolean {
  const key = `${field} ${min} ${max}`;
  const known = members.get(key) ?? Array.from({ length: 60 }, (_, v) => v >= min && names(field, v, min, max));
  members.set(key, known);
  return known[value] ?? false;
}

function names(field: string, value: number, min: number, max: number): boolean {
  return field.split(",").some((item) => {
    const [base = "", step = "1"] = item.split("/");
    if (base === "*" || base === "?") return (value - min) % Number(step) === 0;
    const [from = "", to = from] = base.split("-");
    if (!/^\d+$/.test(from)) return false;
    for (let v = Number(from); v <= Number(to); v += Number(step)) {
      if (v === value || (max === 7 && v % 7 === value)) return true;
    }
    return false;
  });
}

const weekday = (year: number, month: number, day: number) => new Date(Date.UTC(year, month - 1, day)).getUTCDay();
const monthLength = (year: number, month: number) => new Date(Date.UTC(year, month, 0)).getUTCDate();

function nearestWeekday(year: number, month: number, day: number): number {
  const length = monthLength(year, month);
  if (day > length) return -1;
  const weekdays: number[] = [];
  for (let d = 1; d <= length; d++) if (weekday(year, month, d) % 6 !== 0) weekdays.push(d);
  return weekdays.reduce((a, b) => (Math.abs(b - day) < Math.abs(a - day) ? b : a));
}

function domMatches(field: string, { year, month, day }: Wall): boolean {
  if (has(field, day, 1, 31)) return true;
  const length = monthLength(year, month);
  return field.split(",").some((item) => {
    if (item === "L") return day === length;
    if (item === "LW") return day === nearestWeekday(year, month, length) && day <= length;
    return item.endsWith("W") && day === nearestWeekday(year, month, Number.parseInt(item, 10));
  });
}

function dowMatches(field: string, { year, month, day }: Wall): boolean {
  const today = weekday(year, month, day);
  if (has(field, today, 0, 7)) return true;
  return field.split(",").some((item) => {
    const match = /^(\d)(?:#(\d)|L)$/.exec(item);
    if (!match || Number(match[1]) % 7 !== today) return false;
    if (match[2] === undefined) return day + 7 > monthLength(year, month);
    return Math.ceil(day / 7) === Number(match[2]);
  });
}

export function matches(fields: readonly string[], wall: Wall): boolean {
  const [s = "", m = "", h = "", dom = "", mon = "", dow = ""] = fields;
  if (!has(s, wall.second, 0, 59) || !has(m, wall.minute, 0, 59)) return false;
  if (!has(h, wall.hour, 0, 23) || !has(mon, wall.month, 1, 12)) return false;
  const free = (field: string) => field.split(",").some((item) => /^(\*(\/1)?|\?)$/.test(item));
  const byDom = domMatches(dom, wall);
  const byDow = dowMatches(dow, wall);
  return free(dom) || free(dow) ? byDom && byDow : byDom || byDow;
}

export function randomField(random: Random, min: number, max: number): string {
  const item = () => {
    const a = random.int(min, max);
    const b = random.int(a, max);
    return random.pick([`${a}`, `${a}-${b}`, `${a}-${b}/${random.int(1, 5)}`, `*/${random.int(1, 7)}`]);
  };
  return random.pick(["*", item(), `${item()},${item()}`]);
}

export function randomDays(random: Random): string[] {
  const dom = random.pick([
    "*",
    "?",
    randomField(random, 1, 31),
    "L",
    "LW",
    `${random.int(1, 31)}W`,
    `${random.int(1, 28)},L`,
    `${random.int(1, 31)}W,${random.int(1, 31)}`,
  ]);
  const dow = random.pick([
    "*",
    "*",
    "?",
    randomField(random, 0, 6),
    `${random.int(0, 7)}#${random.int(1, 5)}`,
    `${random.int(0, 7)}L,${random.int(0, 6)}#1`,
  ]);
  return [dom, random.pick(["*", "*", randomField(random, 1, 12)]), dow];
}

/** [instant, wall second] of each minute. */
export function wallMinutes(zone: string, from: number, to: number): [number, number][] {
  const clock = new Intl.DateTimeFormat("sv-SE", {
    timeZone: zone,
    dateStyle: "short",
    timeStyle: "medium",
  });
  const minutes: [number, number][] = [];
  for (let t = from; t < to; t += 60) {
    minutes.push([t, at(`${clock.format(t * 1000).replace(" ", "T")}Z`)]);
  }
  return minutes;
}

export function fired(fields: string[], walls: [number, number][], cadence: boolean): number[] {
  const shown = new Set<number>();
  const due: number[] = [];
  let previous = walls[0]?.[1] ?? 0;
  for (const [instant, wall] of walls) {
    let now = matches(fields, wallOf(wall));
    if (!cadence) {
      if (shown.has(wall)) now = false;
      for (let skipped = previous + 60; skipped < wall && !now; skipped += 60) {
        now = matches(fields, wallOf(skipped));
      }
    }
    if (now) due.push(instant);
    shown.add(wall);
    previous = wall;
  }
  return due;
}
