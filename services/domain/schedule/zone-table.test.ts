import { describe, expect, it } from "vitest";
import { type ZoneSpan, type ZoneTable, zoneTable } from "./zone-table.ts";

const at = (text: string) => Date.parse(text) / 1000;

function zone(name: string): ZoneTable {
  const table = zoneTable(name);
  if ("reason" in table) throw new Error(table.reason);
  return table;
}

/** The changes of the clocks in [from, to), as "instant offsetBefore offsetAfter" in minutes. */
function changes(name: string, from: string, to: string): string[] {
  const found: string[] = [];
  let span = zone(name).spanAt(at(from));
  while (span.end < at(to)) {
    const next: ZoneSpan = zone(name).spanAt(span.end);
    if (next.offset !== span.offset) {
      const instant = new Date(span.end * 1000).toISOString().replace(".000Z", "Z");
      found.push(`${instant} ${span.offset / 60} ${next.offset / 60}`);
    }
    span = next;
  }
  return found;
}

describe("the zone table knows when the clocks change", () => {
  it.each([
    ["America/New_York", ["2026-03-08T07:00:00Z -300 -240", "2026-11-01T06:00:00Z -240 -300"]],
    ["Europe/London", ["2026-03-29T01:00:00Z 0 60", "2026-10-25T01:00:00Z 60 0"]],
    ["Australia/Lord_Howe", ["2026-04-04T15:00:00Z 660 630", "2026-10-03T15:30:00Z 630 660"]],
    ["Asia/Kathmandu", []],
    ["UTC", []],
  ])("in %s in 2026", (name, expected) => {
    expect(changes(name, "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z")).toEqual(expected);
  });

  it.each([
    ["America/Sao_Paulo", "2018", ["2018-02-18T02:00:00Z -120 -180", "2018-11-04T03:00:00Z -180 -120"]],
    // Samoa went over the date line: no 30 December 2011.
    [
      "Pacific/Apia",
      "2011",
      ["2011-04-02T14:00:00Z -600 -660", "2011-09-24T14:00:00Z -660 -600", "2011-12-30T10:00:00Z -600 840"],
    ],
    // Two changes 13 days apart.
    ["America/Argentina/Tucuman", "2004", ["2004-06-01T03:00:00Z -180 -240", "2004-06-13T04:00:00Z -240 -180"]],
    // An offset with seconds in it.
    ["Africa/Monrovia", "1972", ["1972-01-07T00:44:30Z -44.5 0"]],
  ])("in %s in %s", (name, year, expected) => {
    expect(changes(name, `${year}-01-01T00:00:00Z`, `${Number(year) + 1}-01-01T00:00:00Z`)).toEqual(expected);
  });

  it("whatever year is asked for first, spans meet without a hole and know what was before", () => {
    const table = zone("Europe/Berlin");
    for (const year of [2035, 1999, 2500, 1971]) {
      let span = table.spanAt(at(`${year}-01-01T00:00:00Z`));
      for (let i = 0; i < 12; i++) {
        const next = table.spanAt(span.end);
        expect(next.start).toBeLessThanOrEqual(span.end);
        expect(next.end).toBeGreaterThan(span.end);
        if (next.offset !== span.offset) {
          expect(next.start).toBe(span.end);
          expect(next.before).toBe(span.offset);
        }
        span = next;
      }
    }
  });

  it("it misses no change that a survey by the day finds", () => {
    for (const name of ["Africa/Casablanca", "Africa/Cairo", "Asia/Gaza", "America/Caracas"]) {
      const clock = new Intl.DateTimeFormat("sv-SE", {
        timeZone: name,
        dateStyle: "short",
        timeStyle: "medium",
      });
      for (let t = at("2008-01-01T12:00:00Z"); t < at("2016-01-01T00:00:00Z"); t += 86_400) {
        const offset = at(`${clock.format(t * 1000).replace(" ", "T")}Z`) - t;
        expect({ name, t, offset: zone(name).spanAt(t).offset }).toEqual({ name, t, offset });
      }
    }
  });
});

describe("zone names", () => {
  it.each([
    "Europe/London",
    "europe/london",
    "Etc/GMT+5",
    "EST5EDT",
    "EST",
    "Japan",
    "Asia/Calcutta",
  ])("%s is taken", (name) => {
    expect(zone(name).isUtc).toBe(false);
  });

  it.each(["", "UTC", "utc", "Etc/UTC", "GMT", "Zulu", "Etc/GMT", "GMT0"])("%j is UTC", (name) => {
    expect(zone(name).isUtc).toBe(true);
  });

  it("other names of one zone share its table", () => {
    expect(zone("US/Eastern").name).toBe(zone("america/new_york").name);
    expect(zone("US/Eastern")).toBe(zone("america/new_york"));
  });

  it.each(["+02:00", "-0530", "UTC+2", "GMT-3"])("the offset %s is refused", (name) => {
    expect(zoneTable(name)).toEqual({
      reason: `"${name}" is an offset; give an IANA time zone name, such as Europe/London`,
    });
  });

  // ICU would read BST as Bangladesh and IST as India.
  it.each(["BST", "IST", "PST", "Mars/Olympus", "Europe/London ", "local", "Etc/Unknown"])("%j is refused", (name) => {
    expect(zoneTable(name)).toEqual({
      reason: `"${name}" is not an IANA time zone name, such as Europe/London`,
    });
  });
});
