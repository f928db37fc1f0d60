import { expect, it } from "vitest";
import { readTickerPresence, writeTickerPresence } from "./ticker-presence.ts";

const presence = { run: "1x4k9", sinceMs: 1_796_115_600_123, host: "a3f0c1d2e4b5" };

it("a ticker's presence is read as it was written", () => {
  expect(readTickerPresence(writeTickerPresence(presence))).toEqual(presence);
});

it("a host name with blanks, or none, makes a presence that can be read all the same", () => {
  expect(readTickerPresence(writeTickerPresence({ ...presence, host: "a b" }))?.host).toBe("a-b");
  expect(readTickerPresence(writeTickerPresence({ ...presence, host: "" }))?.host).toBe("-");
});

it.each([
  "",
  "run",
  "run 1",
  "run x host",
  "RUN 1 host",
  "run 1 host more",
  `run 1 ${"h".repeat(256)}`,
])("%j is no presence", (text) => {
  expect(readTickerPresence(text)).toBeUndefined();
});
