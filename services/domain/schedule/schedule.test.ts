import { describe, expect, it } from "vitest";
import { parseSchedule, previewOccurrences, type ScheduleOptions } from "./schedule.ts";

const at = (text: string) => Date.parse(text) / 1000;
const created = at("2026-11-24T00:00:07Z");

function parse(text: string, options: Partial<ScheduleOptions> = {}) {
  return parseSchedule(text, { timeZone: "UTC", jobId: "a", anchorSecond: created, ...options });
}

function schedule(text: string, options: Partial<ScheduleOptions> = {}) {
  const parsed = parse(text, options);
  if (!parsed.ok) throw new Error(`${text}: ${parsed.field}: ${parsed.reason}`);
  return parsed.schedule;
}

function preview(text: string, after: string, count: number, options?: Partial<ScheduleOptions>) {
  const seconds = previewOccurrences(schedule(text, options), at(after), count);
  return seconds.map((second) => new Date(second * 1000).toISOString().replace(".000Z", "Z"));
}

describe("a schedule fires when it says", () => {
  it.each([
    ["* * * * * *", ["2026-11-24T00:00:01Z", "2026-11-24T00:00:02Z"]],
    ["*/5 * * * * *", ["2026-11-24T00:00:05Z", "2026-11-24T00:00:10Z"]],
    ["* * * * *", ["2026-11-24T00:01:00Z", "2026-11-24T00:02:00Z"]],
    ["  0\t9 * * MON-FRI ", ["2026-11-24T09:00:00Z", "2026-11-25T09:00:00Z"]],
    ["0 0 1 jan *", ["2027-01-01T00:00:00Z", "2028-01-01T00:00:00Z"]],
    ["0 0 * * SAT-SUN", ["2026-11-28T00:00:00Z", "2026-11-29T00:00:00Z"]],
    ["0 0 * * 7", ["2026-11-29T00:00:00Z", "2026-12-06T00:00:00Z"]],
    ["0 0 29 2 *", ["2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"]],
    ["0 0 * 2 MON#5", ["2044-02-29T00:00:00Z", "2072-02-29T00:00:00Z"]],
    ["0 0 L * *", ["2026-11-30T00:00:00Z", "2026-12-31T00:00:00Z"]],
    ["0 0 LW * ?", ["2026-11-30T00:00:00Z", "2026-12-31T00:00:00Z"]],
    ["0 0 28W * *", ["2026-11-27T00:00:00Z", "2026-12-28T00:00:00Z"]],
    ["0 0 * * FRIL", ["2026-11-27T00:00:00Z", "2026-12-25T00:00:00Z"]],
    ["0 0 ? * FRI#2", ["2026-12-11T00:00:00Z", "2027-01-08T00:00:00Z"]],
    // Both day fields restricted: either is enough.
    ["0 0 13 * FRI", ["2026-11-27T00:00:00Z", "2026-12-04T00:00:00Z", "2026-12-11T00:00:00Z", "2026-12-13T00:00:00Z"]],
    ["@hourly", ["2026-11-24T01:00:00Z"]],
    ["@daily", ["2026-11-25T00:00:00Z"]],
    ["@midnight", ["2026-11-25T00:00:00Z"]],
    ["@weekly", ["2026-11-29T00:00:00Z"]],
    ["@monthly", ["2026-12-01T00:00:00Z"]],
    ["@yearly", ["2027-01-01T00:00:00Z"]],
    ["@Annually", ["2027-01-01T00:00:00Z"]],
    ["@minutely", ["2026-11-24T00:01:00Z"]],
    ["@secondly", ["2026-11-24T00:00:01Z"]],
    ["@every 10s", ["2026-11-24T00:00:07Z", "2026-11-24T00:00:17Z"]],
    ["@every 1h30m", ["2026-11-24T00:00:07Z", "2026-11-24T01:30:07Z"]],
    ["@every 8784h", ["2026-11-24T00:00:07Z"]],
    ["@at 2026-12-01T09:00:00Z", ["2026-12-01T09:00:00Z"]],
    ["@at 2026-12-01T09:00:00.000Z", ["2026-12-01T09:00:00Z"]],
    ["@at 2026-12-01t09:00:00+05:45", ["2026-12-01T03:15:00Z"]],
  ])("%s", (text, expected) => {
    expect(preview(text, "2026-11-24T00:00:00Z", expected.length)).toEqual(expected);
  });

  it("is over after the only instant of @at", () => {
    expect(preview("@at 2026-12-01T09:00:00Z", "2026-12-01T08:59:59Z", 5)).toHaveLength(1);
    expect(preview("@at 2026-12-01T09:00:00Z", "2026-12-01T09:00:00Z", 5)).toHaveLength(0);
  });

  it("is over at the end of the year 2999, instead of searching for ever", () => {
    expect(preview("0 0 1 1 *", "2998-06-01T00:00:00Z", 5)).toEqual(["2999-01-01T00:00:00Z"]);
    expect(preview("* * * * * *", "2999-12-31T23:59:58Z", 5)).toHaveLength(1);
    for (const timeZone of ["UTC", "Asia/Tokyo", "America/New_York"]) {
      expect(preview("0 0 29 2 *", "2997-01-01T00:00:00Z", 5, { timeZone })).toEqual([]);
      expect(preview("0 * 29 2 *", "2997-01-01T00:00:00Z", 5, { timeZone })).toEqual([]);
    }
  });
});

describe("a schedule that cannot be read is refused with what was found and what is allowed", () => {
  it.each([
    ["", "is empty"],
    ["   ", "is empty"],
    ["* * * *", "expected 5 or 6 fields, got 4"],
    ["* * * * * * *", "expected 5 or 6 fields, got 7"],
    ["hello", "expected 5 or 6 fields, got 1"],
    ["61 * * * *", "minute: 61 is outside 0-59"],
    ["60 * * * * *", "second: 60 is outside 0-59"],
    ["* 24 * * *", "hour: 24 is outside 0-23"],
    ["* * 0 * *", "day of month: 0 is outside 1-31"],
    ["* * 32 * *", "day of month: 32 is outside 1-31"],
    ["* * * 13 *", "month: 13 is outside 1-12"],
    ["* * * * 8", "day of week: 8 is outside 0-7"],
    ["* * * JAM *", 'month: "JAM" is neither a number nor a name (JAN-DEC)'],
    ["* * * * MONDAY", 'day of week: "MONDAY" is neither a number nor a name (SUN-SAT)'],
    ["x * * * *", 'minute: "x" is not a number'],
    ["1.5 * * * *", 'minute: "1.5" is not a number'],
    ["-5 * * * *", 'minute: "-5" is not a value, a range or a step'],
    ["/5 * * * *", 'minute: "/5" is not a value, a range or a step'],
    ["*/5/5 * * * *", 'minute: "*/5/5" is not a value, a range or a step'],
    ["1,,2 * * * *", "minute: a value is missing (an empty item in a list)"],
    ["*/0 * * * *", "minute: the step 0 is outside 1-60"],
    ["*/61 * * * *", "minute: the step 61 is outside 1-60"],
    ["*/x * * * *", 'minute: the step "x" is not a number'],
    ["5/15 * * * *", 'minute: "5/15" has a step but no range; write 5-59/15 or */15'],
    ["* 22-2 * * *", "hour: the range 22-2 runs backwards; write 22-23,0-2"],
    ["? * * * *", 'minute: "?" is allowed in day of month and day of week only; use *'],
    ["* * ?,1 * *", 'day of month: "?" must stand alone'],
    ["* * L-3 * *", 'day of month: "L-3" (days before the last) is not supported'],
    ["* * LW,1 * *", 'day of month: "LW" must stand alone, not in a list'],
    ["* * 32W * *", "day of month: 32 is outside 1-31"],
    ["* * * * L", 'day of week: "L" needs a day in front of it, such as FRIL or 5L (the last Friday)'],
    ["* * * * FRI#6", 'day of week: "FRI#6": after # comes 1-5 or L'],
    ["* * * * +MON", 'day of week: "+MON" is neither a number nor a name (SUN-SAT)'],
    ["* H(5-1) * * *", "hour: the range 5-1 runs backwards"],
    ["H(0-99) * * * *", "minute: 99 is outside 0-59"],
    ["HH * * * *", 'minute: "HH" is not a number'],
    ["H-5 * * * *", 'minute: "H-5" is not one of H, H/step, H(from-to), H(from-to)/step'],
    ["0 0 30 2 *", "day of month: never fires, since FEB has no day 30"],
    ["0 0 31 4,JUN *", "day of month: never fires, since APR, JUN has no day 31"],
    ["0 0 30W 2 ?", "day of month: never fires, since FEB has no day 30"],
    ["TZ=Europe/London 0 9 * * *", '"TZ=Europe/London": the expression names no zone; set time_zone instead'],
    ["CRON_TZ=UTC 0 9 * * *", '"CRON_TZ=UTC": the expression names no zone; set time_zone instead'],
    [
      "@reboot",
      '"@reboot" is not known; known are @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly, @minutely, @secondly, @every, @at',
    ],
    ["@every", "@every needs a duration, such as @every 10s or @every 1h30m"],
    ["@every 10", "@every 10: 10 has no unit (h, m or s)"],
    ["@every 0s", "@every 0s: shorter than 1s"],
    ["@every 500ms", "@every 500ms: ms is finer than a second"],
    ["@every 1.5h", "@every 1.5h: fractions are not allowed; write 1h30m, not 1.5h"],
    ["@every -5s", "@every -5s: a sign is not allowed"],
    ["@every 2d", '@every 2d: unknown unit "d" (h, m or s)'],
    ["@every s", "@every s: not a duration; write numbers with h, m or s, such as 1h30m"],
    ["@every 1h 30m", "@every 1h 30m: not a duration; write numbers with h, m or s, such as 1h30m"],
    ["@every 8785h", "@every 8785h: longer than 8784h (366 days)"],
    ["@at", "@at needs an instant, such as 2026-12-01T09:00:00Z"],
    ["@at tomorrow", "@at tomorrow: not an RFC 3339 instant, such as 2026-12-01T09:00:00Z"],
    ["@at 2026-12-01T09:00:00", "@at 2026-12-01T09:00:00: needs Z or an offset, such as 2026-12-01T09:00:00Z"],
    ["@at 2026-12-01T09:00:00.5Z", "@at 2026-12-01T09:00:00.5Z: fractions of a second are not supported"],
    ["@at 2026-02-30T09:00:00Z", "@at 2026-02-30T09:00:00Z: there is no such day"],
    ["@at 2026-12-01T09:00:60Z", "@at 2026-12-01T09:00:60Z: there is no such time of day"],
    ["@at 2026-12-01T09:00:00+24:00", "@at 2026-12-01T09:00:00+24:00: the offset +24:00 is outside -23:59 to +23:59"],
    ["@at 3000-01-01T00:00:00Z", "@at 3000-01-01T00:00:00Z: lies outside 1970 to 2999"],
    ["@at 1969-12-31T23:59:59Z", "@at 1969-12-31T23:59:59Z: lies outside 1970 to 2999"],
    [`${"1,".repeat(300)}1 * * * *`, "is longer than 512 characters"],
  ])("%j", (text, reason) => {
    expect(parse(text)).toEqual({ ok: false, field: "schedule", reason });
  });

  it("an unknown time zone is an error of time_zone, whatever the kind of schedule", () => {
    for (const text of ["* * * * *", "@every 5s", "@at 2026-12-01T09:00:00Z"]) {
      expect(parse(text, { timeZone: "Mars/Olympus" })).toEqual({
        ok: false,
        field: "time_zone",
        reason: '"Mars/Olympus" is not an IANA time zone name, such as Europe/London',
      });
    }
  });
});

describe("start and end", () => {
  const startSecond = at("2026-12-01T00:00:00Z");
  const endSecond = at("2026-12-01T00:03:00Z");

  it("the start is included and the end is not", () => {
    expect(preview("* * * * *", "2026-11-24T00:00:00Z", 9, { startSecond, endSecond })).toEqual([
      "2026-12-01T00:00:00Z",
      "2026-12-01T00:01:00Z",
      "2026-12-01T00:02:00Z",
    ]);
  });

  it("@every counts from the start, beginning with it", () => {
    const options = { startSecond: startSecond + 3 };
    expect(preview("@every 50s", "2026-11-24T00:00:00Z", 2, options)).toEqual([
      "2026-12-01T00:00:03Z",
      "2026-12-01T00:00:53Z",
    ]);
  });

  it.each([
    ["* * * * *", { startSecond, endSecond: startSecond }, "end_time", "must be after start_time"],
    ["* * * * *", { startSecond: 0.5 }, "start_time", "must be a whole second from 1970 to 2999"],
    ["* * * * *", { endSecond: -1 }, "end_time", "must be a whole second from 1970 to 9999"],
    [
      "0 9 * * *",
      { startSecond, endSecond },
      "end_time",
      "never fires: nothing is due from start_time to before end_time",
    ],
    [
      "@at 2026-11-30T23:59:59Z",
      { startSecond },
      "schedule",
      "never fires: nothing is due from start_time to before end_time",
    ],
    [
      "@at 2026-12-01T00:03:00Z",
      { endSecond },
      "schedule",
      "never fires: nothing is due from start_time to before end_time",
    ],
  ] as const)("%s within %o is refused: %s %s", (text, options, field, reason) => {
    expect(parse(text, options)).toEqual({ ok: false, field, reason });
  });
});

describe("H", () => {
  const hashed = (text: string, jobId: string) => schedule(text, { jobId });
  const jobs = Array.from({ length: 6_000 }, (_, i) => `01jdq7n0v${i.toString(32).padStart(17, "0")}`);

  it("is the same for a job each time", () => {
    expect(hashed("H H * * *", "x").key).toBe(hashed("H H * * *", "x").key);
  });

  it("spreads jobs evenly over the minutes, the seconds and a range", () => {
    for (const [text, from, size, unit] of [
      ["H * * * *", 0, 60, 60],
      ["H 0 * * * *", 0, 60, 1],
      ["H(10-29) * * * *", 10, 20, 60],
    ] as const) {
      const counts = new Map<number, number>();
      for (const job of jobs) {
        const value = Math.floor((hashed(text, job).nextAfter(3_599_999_999) ?? 0) / unit) % 60;
        counts.set(value, (counts.get(value) ?? 0) + 1);
      }
      expect(Math.min(...counts.keys())).toBe(from);
      expect(Math.max(...counts.keys())).toBe(from + size - 1);
      const mean = jobs.length / size;
      for (const count of counts.values()) {
        // Five standard deviations either way.
        expect(Math.abs(count - mean)).toBeLessThan(5 * Math.sqrt(mean));
      }
    }
  });

  it("with a step keeps the distance and shifts the first", () => {
    const firsts = new Set<number>();
    for (const job of jobs.slice(0, 200)) {
      const minutes = previewOccurrences(hashed("H/15 * * * *", job), 3_599_999_999, 4).map(
        (second) => (second / 60) % 60,
      );
      expect(minutes.map((minute) => minute - (minutes[0] ?? 0))).toEqual([0, 15, 30, 45]);
      firsts.add(minutes[0] ?? -1);
    }
    expect([...firsts].sort((a, b) => a - b)).toEqual(Array.from({ length: 15 }, (_, i) => i));
  });

  it("chooses a day that each month has", () => {
    for (const job of jobs.slice(0, 300)) {
      const days = previewOccurrences(hashed("0 0 H * *", job), created, 12);
      expect(new Set(days.map((s) => new Date(s * 1000).getUTCMonth())).size).toBe(12);
    }
  });
});

describe("keys", () => {
  it("are equal for other spellings of the same occurrences, which then share one object", () => {
    for (const same of [
      ["*/5 * * * *", "0 */5 * * * *", "0 0-59/5 0-23 ? JAN-DEC ?", "0,5,10-55/5 * * * *"],
      ["@daily", "0 0 * * *", "0 0 0 */1 * *"],
      ["0 0 * * SUN", "0 0 ? * 7", "@weekly"],
      ["0 0 * * *", "0 0 1 * 0-6", "0 0 1-31 * 5"],
      ["@every 90s", "@every 1m30s"],
      ["@at 2026-12-01T09:00:00Z", "@at 2026-12-01T10:00:00+01:00"],
    ]) {
      expect(new Set(same.map((text) => schedule(text))).size).toBe(1);
    }
    expect(schedule("@every 10s", { anchorSecond: 7 })).toBe(schedule("@every 10s", { anchorSecond: 1_000_000_017 }));
    expect(schedule("0 9 * * *", { timeZone: "Etc/UTC" })).toBe(schedule("0 9 * * *"));
    expect(schedule("0 9 * * *", { timeZone: "europe/london" })).toBe(
      schedule("0 9 * * *", { timeZone: "Europe/London" }),
    );
  });

  it("differ by zone, bounds, phase, and by what happens when the clocks change", () => {
    const texts = [
      schedule("0 9 * * *"),
      schedule("0 9 * * *", { timeZone: "Europe/London" }),
      schedule("0 9 * * *", { startSecond: 1 }),
      schedule("0 9 * * *", { endSecond: 1_000_000_000 }),
      schedule("0 */12 * * *", { timeZone: "Europe/London" }),
      schedule("0 0,12 * * *", { timeZone: "Europe/London" }),
      schedule("@every 10s", { anchorSecond: 1 }),
      schedule("@every 10s", { anchorSecond: 2 }),
      schedule("@every 10s", { startSecond: 11 }),
    ];
    expect(new Set(texts.map((one) => one.key)).size).toBe(texts.length);
  });
});
