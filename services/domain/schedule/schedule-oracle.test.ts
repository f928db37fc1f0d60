import { describe, expect, it } from "vitest";
import {
  fired,
  generator,
  has,
  matches,
  randomDays,
  randomField,
  wallMinutes,
  wallOf,
} from "../../../test/support/schedule-oracle.ts";
import { parseSchedule, previewOccurrences } from "./schedule.ts";

/** Random patterns against the oracle, which tries every instant. */

function schedule(text: string, timeZone: string) {
  const parsed = parseSchedule(text, { timeZone, jobId: "job", anchorSecond: 0 });
  if (!parsed.ok && /never fires/.test(parsed.reason)) return undefined;
  if (!parsed.ok) throw new Error(`${text}: ${parsed.field}: ${parsed.reason}`);
  return parsed.schedule;
}

const daySeconds = 86_400;
const at = (text: string) => Date.parse(text) / 1000;

describe("the next occurrence is the one that trying every instant finds", () => {
  it("day by day, over five years, for random day fields", () => {
    const random = generator(1);
    for (let i = 0; i < 150; i++) {
      const days = randomDays(random);
      const text = `0 0 0 ${days.join(" ")}`;
      const from = at(`${random.int(1971, 2090)}-0${random.int(1, 9)}-01T00:00:00Z`);
      const expected: number[] = [];
      for (let t = from; t < from + 5 * 365 * daySeconds && expected.length < 40; t += daySeconds) {
        if (matches(text.split(" "), wallOf(t))) expected.push(t);
      }
      const found = schedule(text, "UTC");
      const actual = found ? previewOccurrences(found, from - 1, expected.length) : [];
      expect({ text, from, actual }).toEqual({ text, from, actual: expected });
      const beyond = found?.nextAfter((expected.at(-1) ?? from) - (expected.length > 0 ? 0 : 1));
      if (expected.length < 40) expect(beyond ?? Infinity).toBeGreaterThanOrEqual(from + 5 * 365 * daySeconds);
    }
  });

  it("second by second, for random times of day", () => {
    const random = generator(2);
    for (let i = 0; i < 60; i++) {
      const time = [randomField(random, 0, 59), randomField(random, 0, 59), randomField(random, 0, 23)];
      const text = `${time.join(" ")} * * *`;
      const from = at("2026-02-28T00:00:00Z") + random.int(0, daySeconds);
      const expected: number[] = [];
      for (let t = from; t < from + daySeconds / 2 && expected.length < 30; t++) {
        if (matches(text.split(" "), wallOf(t))) expected.push(t);
      }
      const found = schedule(text, "UTC");
      if (!found) throw new Error(text);
      expect({ text, from, actual: previewOccurrences(found, from - 1, expected.length) }).toEqual({
        text,
        from,
        actual: expected,
      });
    }
  });

  // Each window holds one change of the clocks.
  const windows = [
    ["America/New_York", "2026-03-08"],
    ["America/New_York", "2026-11-01"],
    ["Europe/London", "2026-03-29"],
    ["Europe/London", "2026-10-25"],
    ["Australia/Lord_Howe", "2026-04-04"],
    ["Australia/Lord_Howe", "2026-10-03"],
    ["America/Sao_Paulo", "2018-11-04"],
    ["America/Sao_Paulo", "2018-02-18"],
    ["Pacific/Apia", "2011-12-30"],
    ["Asia/Kathmandu", "2026-03-08"],
    ["Africa/Casablanca", "2026-02-15"],
  ] as const;

  it.each(windows)("minute by minute, in %s around %s", (zone, date) => {
    const random = generator(date.length + zone.length);
    const from = at(`${date}T00:00:00Z`) - 1.5 * daySeconds;
    const to = from + 3 * daySeconds;
    const walls = wallMinutes(zone, from - daySeconds, to);
    for (let i = 0; i < 60; i++) {
      const hour = random.pick(["*", "*/2", "1", "2", "0", "1,2", "0-3", randomField(random, 0, 23)]);
      const days = random.pick([["*", "*", "*"], ["*", "*", "*"], randomDays(random)]);
      const fields = ["0", randomField(random, 0, 59), hour, ...days];
      const everyHour = Array.from({ length: 24 }, (_, h) => has(hour, h, 0, 23)).every(Boolean);
      const cadence = hour.startsWith("*") || everyHour;
      const expected = fired(fields, walls, cadence).filter((t) => t >= from);
      const found = schedule(fields.join(" "), zone);
      const actual: number[] = [];
      let t = found?.nextAfter(from - 1);
      while (found && t !== undefined && t < to) {
        actual.push(t);
        t = found.nextAfter(t);
      }
      expect({ fields, actual }).toEqual({ fields, actual: expected });
      for (let k = 0; k < 20; k++) {
        // From any instant, also within the repeated hour, and without memory of the last answer.
        const asked = random.int(from, to - 1);
        const answer = found?.nextAfter(asked) ?? Infinity;
        const next = expected.find((second) => second > asked);
        if (next === undefined) expect(answer).toBeGreaterThanOrEqual(to);
        else expect({ fields, asked, answer }).toEqual({ fields, asked, answer: next });
      }
    }
  });
});

describe("order", () => {
  it("answers are strictly later, never decrease, and do not depend on what was asked before", () => {
    const random = generator(4);
    for (let i = 0; i < 60; i++) {
      const time = [randomField(random, 0, 59), randomField(random, 0, 59), randomField(random, 0, 23)];
      const text = [...time, ...randomDays(random)].join(" ");
      const zone = random.pick(["UTC", "America/New_York", "Australia/Lord_Howe"]);
      const found = schedule(text, zone);
      if (!found) continue;
      const asked = Array.from({ length: 40 }, () => random.int(1_700_000_000, 1_900_000_000));
      const shuffled = asked.map((second) => [second, found.nextAfter(second)] as const);
      let last = 0;
      for (const [second, answer] of shuffled.toSorted((a, b) => a[0] - b[0])) {
        expect(answer).toBeGreaterThan(second);
        expect(answer).toBeGreaterThanOrEqual(last);
        expect(found.nextAfter(second)).toBe(answer);
        last = answer ?? Infinity;
      }
    }
  });

  it("patterns of equal key have equal occurrences", () => {
    const random = generator(5);
    const byKey = new Map<string, number[]>();
    let met = 0;
    for (let i = 0; i < 600; i++) {
      const hour = random.pick(["*", "0-23", "*/1", "0-23/1", "*/6", "0,6,12,18", "0-18/6"]);
      const dom = random.pick(["*", "?", "*/1", "1-31", "1", "1-1"]);
      const dow = random.pick(["*", "?", "0-6", "1-7", "0", "7", "1", "1,1"]);
      const text = `0 ${random.pick(["0", "0-0", "30", "*/30", "0,30"])} ${hour} ${dom} * ${dow}`;
      const found = schedule(text, "America/New_York");
      if (!found) throw new Error(text);
      const fields = text.split(" ");
      const expected: number[] = [];
      const from = at("2026-05-30T00:00:00Z");
      // New York in summer: four hours behind.
      for (let t = from; expected.length < 60; t += 1800) {
        if (matches(fields, wallOf(t - 4 * 3600))) expected.push(t);
      }
      const known = byKey.get(found.key);
      if (known) {
        met++;
        expect({ text, expected }).toEqual({ text, expected: known });
      }
      byKey.set(found.key, expected);
    }
    expect(met).toBeGreaterThan(50);
  });
});
