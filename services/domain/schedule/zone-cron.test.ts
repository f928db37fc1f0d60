import { execFileSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { parseSchedule, previewOccurrences } from "./schedule.ts";

const at = (text: string) => Date.parse(text) / 1000;

function occurrences(text: string, timeZone: string, from: string, count: number): string[] {
  const parsed = parseSchedule(text, { timeZone, jobId: "job", anchorSecond: 0 });
  if (!parsed.ok) throw new Error(parsed.reason);
  return previewOccurrences(parsed.schedule, at(from) - 1, count).map((second) =>
    new Date(second * 1000).toISOString().replace(":00.000Z", "Z").replace(".000Z", "Z"),
  );
}

describe("a fixed-time job in the hour that does not exist fires at the first instant after it", () => {
  it.each([
    ["30 2 * * *", "America/New_York", "2026-03-07T12:00Z", ["2026-03-08T07:00Z", "2026-03-09T06:30Z"]],
    ["0 30 2 8 3 *", "America/New_York", "2026-01-01T00:00Z", ["2026-03-08T07:00Z", "2027-03-08T07:30Z"]],
    ["30 1 * * *", "Europe/London", "2026-03-28T12:00Z", ["2026-03-29T01:00Z", "2026-03-30T00:30Z"]],
    ["15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00Z", ["2026-10-03T15:30Z", "2026-10-04T15:15Z"]],
    // Midnight itself is in the gap.
    ["@daily", "America/Sao_Paulo", "2018-11-03T12:00Z", ["2018-11-04T03:00Z", "2018-11-05T02:00Z"]],
    // The whole of 30 December is.
    ["0 9 * * *", "Pacific/Apia", "2011-12-29T12:00Z", ["2011-12-29T19:00Z", "2011-12-30T10:00Z", "2011-12-30T19:00Z"]],
    ["0 9 30 12 *", "Pacific/Apia", "2011-06-01T00:00Z", ["2011-12-30T10:00Z", "2012-12-29T19:00Z"]],
  ])("%s in %s", (text, zone, from, expected) => {
    expect(occurrences(text, zone, from, expected.length)).toEqual(expected);
  });

  it("once, however many of its times fall into the gap or on its end", () => {
    for (const text of ["0,30 2 * * *", "*/10 2 * * *", "0 2,3 * * *", "59 59 2 * * *"]) {
      const fired = occurrences(text, "America/New_York", "2026-03-08T05:00Z", 9);
      expect(fired.filter((time) => time < "2026-03-08T07:59Z")).toEqual(["2026-03-08T07:00Z"]);
    }
  });
});

describe("a fixed-time job in the hour that comes twice fires at the first", () => {
  it.each([
    ["30 1 * * *", "America/New_York", "2026-11-01T00:00Z", ["2026-11-01T05:30Z", "2026-11-02T06:30Z"]],
    ["30 1 * * *", "Europe/London", "2026-10-25T00:00Z", ["2026-10-25T00:30Z", "2026-10-26T01:30Z"]],
    ["45 1 * * *", "Australia/Lord_Howe", "2026-04-04T00:00Z", ["2026-04-04T14:45Z", "2026-04-05T15:15Z"]],
    ["30 23 * * *", "America/Sao_Paulo", "2018-02-17T12:00Z", ["2018-02-18T01:30Z", "2018-02-19T02:30Z"]],
    [
      "0 0-2 * * *",
      "America/New_York",
      "2026-11-01T04:00Z",
      ["2026-11-01T04:00Z", "2026-11-01T05:00Z", "2026-11-01T07:00Z"],
    ],
  ])("%s in %s", (text, zone, from, expected) => {
    expect(occurrences(text, zone, from, expected.length)).toEqual(expected);
  });

  it("also when it is asked from within the second pass", () => {
    const [next] = occurrences("30 1 * * *", "America/New_York", "2026-11-01T06:10Z", 1);
    expect(next).toBe("2026-11-02T06:30Z");
  });
});

describe("a job that keeps its cadence", () => {
  const hours = (from: string, count: number, stepMinutes = 60) =>
    Array.from({ length: count }, (_, i) =>
      new Date((at(from) + i * stepMinutes * 60) * 1000).toISOString().replace(":00.000Z", "Z"),
    );

  it.each([
    ["0 * * * *", 60],
    ["@hourly", 60],
    ["0 0-23 * * *", 60],
    ["*/10 * * * *", 10],
    ["* * * * *", 1],
  ])("%s fires evenly through the gap and through both passes of the repeated hour", (text, step) => {
    for (const from of ["2026-03-08T05:00Z", "2026-11-01T04:00Z"]) {
      const count = 300 / step;
      expect(occurrences(text, "America/New_York", from, count)).toEqual(hours(from, count, step));
    }
  });

  it("in steps of hours follows the clock on the wall", () => {
    expect(occurrences("0 */2 * * *", "America/New_York", "2026-03-08T05:00Z", 3)).toEqual([
      "2026-03-08T05:00Z", // 00:00; there is no 02:00
      "2026-03-08T08:00Z", // 04:00
      "2026-03-08T10:00Z",
    ]);
  });

  it("@every knows no zone at all", () => {
    const from = "2026-11-01T04:00Z";
    expect(occurrences("@every 30m", "America/New_York", from, 9)).toEqual(hours(from, 9, 30));
  });
});

it("a zone without changes is a plain shift", () => {
  expect(occurrences("0 9 * * *", "Asia/Kathmandu", "2026-06-01T00:00Z", 2)).toEqual([
    "2026-06-01T03:15Z",
    "2026-06-02T03:15Z",
  ]);
});

it("a far occurrence is found without walking each change on the way", () => {
  const zone = "America/New_York";
  expect(occurrences("0 12 * 2 MON#5", zone, "2089-01-01T00:00Z", 2)).toEqual([
    "2112-02-29T17:00Z",
    "2140-02-29T17:00Z",
  ]);
  expect(occurrences("0 */12 * 2 MON#5", zone, "2089-01-01T00:00Z", 3)).toEqual([
    "2112-02-29T05:00Z",
    "2112-02-29T17:00Z",
    "2140-02-29T05:00Z",
  ]);
});

describe("the zone of the process makes no difference", () => {
  it.each(["UTC", "America/New_York", "Pacific/Apia"])("TZ=%s", (processZone) => {
    const script = `
      import { parseSchedule, previewOccurrences } from "./schedule.ts";
      const due = (text, timeZone) => previewOccurrences(
        parseSchedule(text, { timeZone, jobId: "job", anchorSecond: 0 }).schedule, 1772866800, 40);
      console.log(JSON.stringify([new Date(0).getTimezoneOffset(), due("30 2 * * *", "UTC"),
        due("0 0 L * FRI#2", "UTC"), due("30 2 * * SUN", "America/New_York")]));`;
    const run = (TZ: string) => {
      const args = ["--input-type=module", "-e", script];
      const env = { ...process.env, TZ };
      const cwd = import.meta.dirname;
      return JSON.parse(execFileSync(process.execPath, args, { cwd, env, encoding: "utf8" }));
    };
    const [offset, ...due] = run(processZone);
    expect(offset === 0).toBe(processZone === "UTC");
    expect(due).toEqual(run("Asia/Kathmandu").slice(1));
  });
});
