/**
 * What the clocks of a time zone show, as a table of spans of one offset each. The data is the one
 * that comes with Node (ICU's copy of the IANA database), read through Intl and found by binary
 * search, window by window, as far as somebody asks.
 */
export interface ZoneSpan {
  /** Unix seconds. The offset holds in [start, end). */
  readonly start: number;
  readonly end: number;
  /** Wall seconds = unix seconds + offset. */
  readonly offset: number;
  /** The offset just before `start`; equal to `offset` where a table ends and no clock changed. */
  readonly before: number;
}

export interface ZoneTable {
  /** The name as Intl resolves it: aliases of one zone share a table. */
  readonly name: string;
  readonly isUtc: boolean;
  spanAt(second: number): ZoneSpan;
}

const daySeconds = 86_400;
const windowSeconds = 366 * daySeconds;
/** Further than a clock has ever been moved (a day and a bit: Samoa and Kwajalein). */
export const maxShift = 2 * daySeconds;
/**
 * Two changes that undo each other within one step would go unseen. The closest since 1970 are 13
 * days apart (Tucuman, 2004); zone-table.test.ts compares with a finer step.
 */
const probeStep = 4 * daySeconds;
const maxWindows = 128;

const utcTable: ZoneTable = {
  name: "UTC",
  isUtc: true,
  spanAt: () => ({ start: -Infinity, end: Infinity, offset: 0, before: 0 }),
};

/**
 * Names of three letters that IANA has. ICU takes more of them, some with a surprise: to ICU, BST is
 * Bangladesh and IST is India.
 */
const shortNames = new Set("UTC GMT UCT EST MST HST WET CET MET EET ROC ROK PRC".split(" "));

/** By lower-case name; only names that exist get in, so there are some 600 at most. */
const tablesByName = new Map<string, ZoneTable>();

/** The table of an IANA zone ('' is UTC, the default), or the reason why there is none. */
export function zoneTable(name: string): ZoneTable | { readonly reason: string } {
  if (name === "" || name === "UTC") return utcTable;
  const known = tablesByName.get(name.toLowerCase());
  if (known !== undefined) return known;
  const example = "such as Europe/London";
  if (/^(UTC|GMT)?[+-]\d/i.test(name) && !/^GMT[+-]0$/i.test(name)) {
    return {
      reason: `"${name}" is an offset; give an IANA time zone name, ${example}`,
    };
  }
  const abbreviation = /^[a-z]{3}$/i.test(name) && !shortNames.has(name.toUpperCase());
  const clock = abbreviation ? undefined : wallClock(name);
  if (clock === undefined) {
    return { reason: `"${name}" is not an IANA time zone name, ${example}` };
  }
  const resolved = clock.resolvedOptions().timeZone;
  const table = isUtcName(resolved)
    ? utcTable
    : (tablesByName.get(resolved.toLowerCase()) ?? new IntlZone(resolved, clock));
  tablesByName.set(resolved.toLowerCase(), table);
  tablesByName.set(name.toLowerCase(), table);
  return table;
}

function isUtcName(name: string): boolean {
  return /^(Etc\/)?(UTC|GMT|UCT|Zulu|Universal|Greenwich|GMT[+-]?0)$/.test(name);
}

function wallClock(timeZone: string): Intl.DateTimeFormat | undefined {
  try {
    return new Intl.DateTimeFormat("en-US", {
      timeZone,
      calendar: "gregory",
      numberingSystem: "latn",
      hourCycle: "h23",
      year: "numeric",
      month: "2-digit",
      day: "2-digit",
      hour: "2-digit",
      minute: "2-digit",
      second: "2-digit",
    });
  } catch {
    // A RangeError: the one way in which Intl says that it does not know the name.
    return undefined;
  }
}

class IntlZone implements ZoneTable {
  readonly name: string;
  readonly isUtc = false;
  readonly #clock: Intl.DateTimeFormat;
  readonly #windows = new Map<number, readonly ZoneSpan[]>();
  /** The last answer; most questions of a day have the same. */
  #recent: ZoneSpan = { start: 0, end: 0, offset: 0, before: 0 };
  #recentWindow = 0;

  constructor(name: string, clock: Intl.DateTimeFormat) {
    this.name = name;
    this.#clock = clock;
  }

  spanAt(second: number): ZoneSpan {
    const window = Math.floor(second / windowSeconds);
    const recent = this.#recent;
    if (window === this.#recentWindow && second >= recent.start && second < recent.end) {
      return recent;
    }
    let spans = this.#windows.get(window);
    if (spans === undefined) {
      // Far years are asked for one at a time and rarely: starting over is simple and bounded.
      if (this.#windows.size >= maxWindows) this.#windows.clear();
      spans = this.#survey(window * windowSeconds);
      this.#windows.set(window, spans);
    }
    const span = spans.find((candidate) => second < candidate.end);
    if (span === undefined) throw new Error(`zone ${this.name}: no span at ${second}`);
    this.#recent = span;
    this.#recentWindow = window;
    return span;
  }

  /**
   * The spans of one window. The survey begins maxShift before it, so that a change shortly before
   * the window is seen as the start of the first span: a repeated hour may reach into the window.
   */
  #survey(windowStart: number): ZoneSpan[] {
    const spans: ZoneSpan[] = [];
    const end = windowStart + windowSeconds;
    let start = windowStart - maxShift;
    let offset = this.#offsetAt(start);
    let before = offset;
    for (let probe = start; probe < end; ) {
      const next = Math.min(probe + probeStep, end);
      if (this.#offsetAt(next) === offset) {
        probe = next;
        continue;
      }
      const change = this.#changeBetween(probe, next, offset);
      spans.push({ start, end: change, offset, before });
      before = offset;
      start = change;
      offset = this.#offsetAt(change);
      probe = change;
    }
    if (start < end) spans.push({ start, end, offset, before });
    return spans;
  }

  /** The first second in (from, to] whose offset is not `offset`, which is that of `from`. */
  #changeBetween(from: number, to: number, offset: number): number {
    let same = from;
    let other = to;
    while (other - same > 1) {
      const middle = Math.floor((same + other) / 2);
      if (this.#offsetAt(middle) === offset) same = middle;
      else other = middle;
    }
    return other;
  }

  /** Reads `MM/DD/YYYY, HH:MM:SS`; three times as fast as formatToParts. */
  #offsetAt(second: number): number {
    const shown =
      this.#clock
        .format(second * 1000)
        .match(/\d+/g)
        ?.map(Number) ?? [];
    const [month = 0, day = 0, year = 0, hour = 0, minute = 0, sec = 0] = shown;
    return Date.UTC(year, month - 1, day, hour, minute, sec) / 1000 - second;
  }
}
