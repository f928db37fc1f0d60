import { describe, expect, it } from "vitest";
import { logStyle } from "./log.ts";
import { createLogText } from "./log-text.ts";

const plain = createLogText({ colour: false });
const entry = (fields: object, level = 40) =>
  JSON.stringify({ level, time: "2026-12-01T00:00:05.123Z", service: "executor", ...fields });

describe("a line of the log on a terminal", () => {
  it("has the time, the level, the event and its fields", () => {
    const line = entry({ event: "attempt_failed", jobId: "01a2", ms: 5, text: "two words", list: [1] });
    expect(plain(line)).toBe('00:00:05.123 WARN  attempt_failed jobId=01a2 ms=5 text="two words" list=[1]');
    expect(plain(entry({ event: "many", list: Array.from({ length: 64 }, (_, i) => i) }, 30))).toBe(
      "00:00:05.123 INFO  many list=[0,1,2,3,4,5,6,7,… 64 in all]",
    );
  });

  it("shows of an error the message, and the stack where nobody has foreseen it", () => {
    const err = { type: "Error", message: "disk is full", stack: "Error: disk is full\n    at somewhere" };
    expect(plain(entry({ event: "start_failed", err }, 60))).toBe('00:00:05.123 FATAL start_failed err="disk is full"');
    expect(plain(entry({ event: "uncaught_exception", err }, 60))).toContain("\nError: disk is full\n    at somewhere");
  });

  it("leaves what is no entry as it is, and lets nobody steer the terminal", () => {
    expect(plain("ticker: the configuration is not valid:")).toBe("ticker: the configuration is not valid:");
    expect(plain('{"level":30,')).toBe('{"level":30,');
    expect(plain("\u001b[2J\u009b")).toBe("\\u001b[2J\\u009b");
    expect(plain(entry({ event: "\u001b]0;x\u0007", value: "a\u009bb\u001b" }))).not.toMatch(/[^\P{Cc}\n]/u);
  });

  it("is in colour where that is wanted", () => {
    expect(createLogText({ colour: true })(entry({ event: "x" }))).toContain("\u001b[33mWARN ");
  });
});

describe("the style of the log", () => {
  it("follows the terminal unless one is asked for, and NO_COLOR", () => {
    expect(logStyle("auto", true, {})).toEqual({ text: true, colour: true });
    expect(logStyle("auto", false, {})).toEqual({ text: false, colour: false });
    expect(logStyle("text", false, {})).toEqual({ text: true, colour: false });
    expect(logStyle("json", true, { NO_COLOR: "" })).toEqual({ text: false, colour: true });
    expect(logStyle("auto", true, { NO_COLOR: "1" }).colour).toBe(false);
    expect(logStyle("auto", true, { TERM: "dumb" }).colour).toBe(false);
  });
});
